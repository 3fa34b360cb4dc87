import { DeploymentInputError } from '../components/faults';
import { type RawConfiguration, textOf } from './raw-configuration';

/** What a stack can be. One project, one program a role; see the table in README.md. */
export const ROLES = ['site', 'coordinator', 'organization'] as const;

export type Role = (typeof ROLES)[number];

/** @throws DeploymentInputError when the role is missing or unknown */
export function stackRole(configuration: RawConfiguration, stack: string): Role {
  const role = textOf(configuration, 'role');
  const known = ROLES.find((name) => name === role);
  if (known !== undefined) return known;
  throw new DeploymentInputError(`The configuration of stack ${stack}`, [
    {
      path: 'clara-federation:role',
      ...(role ? { value: role } : {}),
      rule: `must be one of ${ROLES.join(', ')}; a site's file is Pulumi.<environment>-<site>.yaml`,
    },
  ]);
}
