import { z } from 'zod';
import { DeploymentInputError, type Fault, faultsOf } from '../components/faults';
import { ACCOUNT_ID, days, KMS_KEY_ARN, ROLE_ARN, SUBNET_ID, subnetsByZone, VPC_ID } from '../components/input-rules';
import { ownKeys, PROJECT, type RawConfiguration, textOf } from './raw-configuration';

/**
 * The configuration of a site stack. Pulumi.yaml declares the same keys with type, description and default; what is
 * checked here is what a type cannot say.
 */
export type SiteConfiguration = Readonly<z.output<typeof SITE>>;

export const ENVIRONMENTS = ['dev', 'prod'] as const;

const text = (form: RegExp, rule: string) => z.string({ error: rule }).regex(form, rule);
const onOff = z.boolean({ error: 'must be true or false' });

const SITE = z.strictObject({
  role: z.literal('site'),
  environment: z.enum(ENVIRONMENTS, { error: `must be one of ${ENVIRONMENTS.join(', ')}` }),
  siteId: text(
    /^[a-z](?:[a-z0-9]|-(?=[a-z0-9])){1,30}$/,
    'must be 2 to 31 lower-case letters, digits and single hyphens, beginning with a letter',
  ),
  accountId: text(ACCOUNT_ID, "must be the 12 digits of the hospital's AWS account, in quotes"),
  region: text(/^[a-z]{2}(?:-[a-z]+)+-\d$/, 'must be an AWS region such as eu-west-2'),
  deploymentRoleArn: text(ROLE_ARN, "must be the ARN of a role in the hospital's account, or empty").optional(),
  vpcId: text(VPC_ID, 'must be the id of a VPC, vpc-...'),
  subnets: subnetsByZone(text(SUBNET_ID, 'must be the id of a subnet, subnet-...')),
  datasetKeyArn: text(KMS_KEY_ARN, 'must be the ARN of a KMS key, or empty').optional(),
  datasetNoncurrentVersionDays: days,
  datasetUnfinishedUploadDays: days,
  retainWorkspaceOnDelete: onOff,
  backUpWorkspace: onOff,
});

/** Keys of the other roles. Pulumi.yaml gives them defaults, so they appear in every stack. */
const KEYS_OF_OTHER_ROLES = ['sites'];

/** Everything but text reaches the program as JSON. */
const JSON_KEYS: readonly string[] = [
  'subnets',
  'datasetNoncurrentVersionDays',
  'datasetUnfinishedUploadDays',
  'retainWorkspaceOnDelete',
  'backUpWorkspace',
];

/**
 * The typed configuration of a site.
 *
 * @param stack name of the stack, which must be `<environment>-<siteId>`: a stack file that was copied and not fully
 *   edited would otherwise deploy one hospital's site from another's file
 * @throws DeploymentInputError with every fault: key, value, rule
 */
export function siteConfiguration(raw: RawConfiguration, stack: string): SiteConfiguration {
  const input: Record<string, unknown> = {};
  for (const key of ownKeys(raw)) {
    const value = textOf(raw, key);
    if (value !== undefined && !KEYS_OF_OTHER_ROLES.includes(key)) {
      input[key] = JSON_KEYS.includes(key) ? parsedJson(value) : value;
    }
  }
  const result = SITE.safeParse(input);
  const faults = [...(result.success ? [] : faultsOf(result.error, input)), ...crossFaults(input, stack)];
  if (result.success && faults.length === 0) return result.data;
  const named = faults.map((fault) => ({ ...fault, path: `${PROJECT}:${fault.path}` }));
  throw new DeploymentInputError(`The configuration of stack ${stack}`, named);
}

/** Rules between two values. They look at the raw input, so that they are reported beside the faults of single values. */
function crossFaults(input: Readonly<Record<string, unknown>>, stack: string): Fault[] {
  const { environment, siteId, accountId, region, deploymentRoleArn, datasetKeyArn } = input as Record<string, string>;
  const faults: Fault[] = [];
  if (environment && siteId && stack !== `${environment}-${siteId}`) {
    faults.push({
      path: 'siteId',
      value: JSON.stringify(siteId),
      rule: `environment and site must make the name of the stack; ${environment}-${siteId} is not ${stack}`,
    });
  }
  if (
    accountId &&
    deploymentRoleArn &&
    ROLE_ARN.test(deploymentRoleArn) &&
    deploymentRoleArn.split(':')[4] !== accountId
  ) {
    faults.push({
      path: 'deploymentRoleArn',
      value: JSON.stringify(deploymentRoleArn),
      rule: `must be a role in account ${accountId}, the accountId of the site`,
    });
  }
  if (region && datasetKeyArn && KMS_KEY_ARN.test(datasetKeyArn) && datasetKeyArn.split(':')[3] !== region) {
    faults.push({
      path: 'datasetKeyArn',
      value: JSON.stringify(datasetKeyArn),
      rule: `must be a key in region ${region}, because S3 takes no key of another region`,
    });
  }
  return faults;
}

/** Text that is no JSON stays text, and the rule of its key then says what it should have been. */
function parsedJson(value: string): unknown {
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}
