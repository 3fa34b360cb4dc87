import { SITE_KEYS } from './configuration';
import { COORDINATOR_KEYS } from './coordinator-configuration';
import { ORGANIZATION_KEYS } from './organization-configuration';
import type { Role } from './role';

const KEYS: Readonly<Record<Role, readonly string[]>> = {
  site: SITE_KEYS,
  coordinator: COORDINATOR_KEYS,
  organization: ORGANIZATION_KEYS,
};

/** Keys that other roles have and this one has not. A key that no role has is a mistake in a file, and stays a fault. */
export function keysOfOtherRoles(role: Role): string[] {
  return [...new Set(Object.values(KEYS).flat())].filter((key) => !KEYS[role].includes(key));
}
