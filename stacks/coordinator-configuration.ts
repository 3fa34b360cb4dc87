import { z } from 'zod';
import type { Fault } from '../components/faults';
import { ROLE_ARN } from '../components/input-rules';
import { ENDPOINT_SERVICE } from '../components/setting-rules';
import { CATALOGUE, IMAGE_DIGESTS } from './catalogue';
import { COMMON, COMMON_TEXT_KEYS, cidrs, coordinatorHost, hostedZoneId, text, vpcCidr, zones } from './common-keys';
import { keyFault, parseConfiguration } from './parse-configuration';
import type { RawConfiguration } from './raw-configuration';

/** The configuration of an environment: its control plane, and the catalogue of its sites. */
export type CoordinatorConfiguration = Readonly<z.output<typeof COORDINATOR>>;

const COORDINATOR = z.strictObject({
  role: z.literal('coordinator'),
  ...COMMON,
  federation: text(
    /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    'must be 1 to 63 lower-case letters, digits and hyphens; it is in every certificate',
  ),
  zones,
  vpcCidr,
  coordinatorHost,
  hostedZoneId: hostedZoneId.optional(),
  coordinatorEndpointService: text(
    ENDPOINT_SERVICE,
    "must be the output EndpointServiceName of this environment's stack, com.amazonaws.vpce..., or empty before the first deployment",
  ).optional(),
  coordinatorPublicCidrs: cidrs.default([]),
  operatorCidrs: cidrs.default([]),
  imageDigests: IMAGE_DIGESTS,
  auditRetentionDays: z.number().int().min(1, 'must be at least 1 day').max(36_500),
  openRoundAlarmHours: z.number().int().min(1, 'must be at least 1 hour').max(720),
  sites: CATALOGUE.default([]),
});

export const COORDINATOR_KEYS = Object.keys(COORDINATOR.shape);

const TEXT_KEYS = [...COMMON_TEXT_KEYS, 'federation'];

/** @throws DeploymentInputError with every fault: key, value, rule */
export function coordinatorConfiguration(
  raw: RawConfiguration,
  stack: string,
  otherRoles: readonly string[] = [],
): CoordinatorConfiguration {
  return parseConfiguration({ schema: COORDINATOR, textKeys: TEXT_KEYS, otherRoles, cross: crossFaults }, raw, stack);
}

function crossFaults(input: Readonly<Record<string, unknown>>, stack: string): Fault[] {
  const { environment, accountId, deploymentRoleArn, imageDigests = {} } = input as Partial<CoordinatorConfiguration>;
  const faults: Fault[] = [];
  if (environment !== undefined && stack !== environment) {
    faults.push(keyFault(input, 'environment', `must be the name of the stack; it is ${stack}`));
  }
  if (
    accountId &&
    deploymentRoleArn &&
    ROLE_ARN.test(deploymentRoleArn) &&
    deploymentRoleArn.split(':')[4] !== accountId
  ) {
    faults.push(
      keyFault(input, 'deploymentRoleArn', `must be a role in account ${accountId}, the accountId of the platform`),
    );
  }
  for (const image of ['coordinator', 'collector']) {
    if (!(image in imageDigests))
      faults.push({ path: `imageDigests.${image}`, rule: 'is needed for the coordinator service' });
  }
  return faults;
}
