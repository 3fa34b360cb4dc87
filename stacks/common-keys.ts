import { z } from 'zod';
import { ACCOUNT_ID, cidrBlock, HOST_NAME, HOSTED_ZONE_ID, ROLE_ARN, ZONE_ID } from '../components/input-rules';
import { MOST_ZONES } from '../components/network/address-plan';
import { EMAIL, LOG_RETENTION_DAYS, USD } from '../components/setting-rules';

/** Configuration keys that more than one role has. */

export const ENVIRONMENTS = ['dev', 'prod'] as const;
export type Environment = (typeof ENVIRONMENTS)[number];

export const text = (form: RegExp, rule: string) => z.string({ error: rule }).regex(form, rule);

export const siteId = text(
  /^[a-z](?:[a-z0-9]|-(?=[a-z0-9])){1,30}$/,
  'must be 2 to 31 lower-case letters, digits and single hyphens, beginning with a letter',
);
export const accountId = text(ACCOUNT_ID, 'must be the 12 digits of an AWS account, in quotes');
export const region = text(/^[a-z]{2}(?:-[a-z]+)+-\d$/, 'must be an AWS region such as eu-west-2');

export const COMMON = {
  environment: z.enum(ENVIRONMENTS, { error: `must be one of ${ENVIRONMENTS.join(', ')}` }),
  accountId,
  region,
  deploymentRoleArn: text(ROLE_ARN, 'must be the ARN of a role in the account of the stack, or empty').optional(),
  alarmEmail: EMAIL.optional(),
  monthlyBudgetUsd: USD,
  logRetentionDays: z.literal([...LOG_RETENTION_DAYS], {
    error: `must be a retention of CloudWatch Logs: ${LOG_RETENTION_DAYS.join(', ')} days`,
  }),
};

export const zones = z
  .array(text(ZONE_ID, 'must be a zone id such as euw2-az1; zone names mean other zones in other accounts'))
  .min(2, 'at least two zones are needed, so that one of them may fail')
  .max(MOST_ZONES)
  .refine((ids) => new Set(ids).size === ids.length, 'must be different zones');

export const vpcCidr = cidrBlock(8, 28);
export const coordinatorHost = text(HOST_NAME, 'must be the host name in the certificate of the coordinator');
export const hostedZoneId = text(HOSTED_ZONE_ID, 'must be the id of a Route 53 zone, Z..., or empty');
export const cidrs = z.array(cidrBlock(8, 32));

export const COMMON_TEXT_KEYS = [
  'role',
  'environment',
  'accountId',
  'region',
  'deploymentRoleArn',
  'alarmEmail',
  'vpcCidr',
  'coordinatorHost',
  'coordinatorEndpointService',
  'hostedZoneId',
];
