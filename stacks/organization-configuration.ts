import { z } from 'zod';
import { ROLE_ARN } from '../components/input-rules';
import { accountId, COMMON, COMMON_TEXT_KEYS, region, text } from './common-keys';
import { parseConfiguration } from './parse-configuration';
import type { RawConfiguration } from './raw-configuration';

/** The configuration of the organisation stack; the accounts are those of the environments' catalogues. */
export type OrganizationConfiguration = Readonly<z.output<typeof ORGANIZATION>>;

const ORGANIZATION = z.strictObject({
  role: z.literal('organization'),
  accountId: COMMON.accountId,
  region: COMMON.region,
  deploymentRoleArn: COMMON.deploymentRoleArn,
  alarmEmail: COMMON.alarmEmail,
  monthlyBudgetUsd: COMMON.monthlyBudgetUsd,
  logRetentionDays: COMMON.logRetentionDays,
  organizationId: text(/^o-[a-z0-9]{10,32}$/, 'must be the id of the organisation, o-...'),
  organizationRootId: text(/^r-[0-9a-z]{4,32}$/, 'must be the id of its root, r-...'),
  deployerArns: z
    .array(text(ROLE_ARN, 'must be the ARN of a role that deploys, such as that of the continuous integration'))
    .min(1, 'must name at least one role that may deploy'),
  allowedRegions: z.array(region).min(1, 'must name at least one region'),
  memberRoleName: text(/^[\w+=,.@-]{1,64}$/, 'must be the name of a role'),
  auditRetentionDays: z.number().int().min(1).max(36_500),
  suspendedAccounts: z.array(accountId).default([]),
});

export const ORGANIZATION_KEYS = Object.keys(ORGANIZATION.shape);

/** @throws DeploymentInputError with every fault: key, value, rule */
export function organizationConfiguration(
  raw: RawConfiguration,
  stack: string,
  otherRoles: readonly string[] = [],
): OrganizationConfiguration {
  return parseConfiguration(
    {
      schema: ORGANIZATION,
      textKeys: [...COMMON_TEXT_KEYS, 'organizationId', 'organizationRootId', 'memberRoleName'],
      otherRoles,
      cross: () => [],
    },
    raw,
    stack,
  );
}
