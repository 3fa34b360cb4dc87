import * as pulumi from '@pulumi/pulumi';
import * as aws from './aws';
import { placeOf } from './place';
import { type PolicyDocument, policyDocument, type Statement } from './policy-document';

/** What, beside the identities of the account, encrypts with a key: a service that writes on the account's behalf. */
export type KeyUser = 'logs' | 'alarms' | 'trail';

export interface DataKeyOptions {
  /** What the key encrypts; becomes its description. */
  readonly description: string;
  readonly parent: pulumi.Resource;
  /** Leaves the key in the account when the stack is destroyed. Must be set wherever the data that it encrypts stay. */
  readonly retainOnDelete: boolean;
  /** @default none */
  readonly users?: readonly KeyUser[];
  readonly protect?: boolean;
  /** @default the provider's */
  readonly region?: string;
}

/** A symmetric KMS key for one store of data: yearly rotation, and the longest waiting time before a deletion is final. */
export function dataKey(
  name: string,
  { description, parent, retainOnDelete, users = [], protect, region: otherRegion }: DataKeyOptions,
): aws.kms.Key {
  const { accountId, partition, region } = placeOf(parent);
  const policy = pulumi
    .all([partition, accountId, region])
    .apply(([part, id, area]) => dataKeyPolicy(part, id, users, otherRegion ?? area));
  return new aws.kms.Key(
    name,
    {
      description,
      enableKeyRotation: true,
      deletionWindowInDays: 30,
      policy: pulumi.jsonStringify(policy),
      ...(otherRegion !== undefined && { region: otherRegion }),
    },
    { parent, retainOnDelete, ...(protect && { protect }) },
  );
}

/**
 * The policy that AWS itself puts on a new key, written out: the account decides by IAM who uses the key.
 *
 * Both stars are narrow here. In a key policy `Resource: "*"` means this key alone, and a key whose account may not do
 * `kms:*` with it can become unmanageable for ever (KMS developer guide, "Default key policy").
 */
export function dataKeyPolicy(
  partition: string,
  accountId: string,
  users: readonly KeyUser[] = [],
  region = '',
): PolicyDocument {
  return policyDocument(
    {
      Sid: 'AccountDecidesByIam',
      Effect: 'Allow',
      Principal: { AWS: `arn:${partition}:iam::${accountId}:root` },
      Action: 'kms:*',
      Resource: '*',
    },
    ...users.map((user) => KEY_USERS[user](partition, accountId, region)),
  );
}

const KEY_USERS: Readonly<Record<KeyUser, (partition: string, accountId: string, region: string) => Statement>> = {
  // CloudWatch Logs user guide, "Encrypt log data in CloudWatch Logs using AWS KMS".
  logs: (partition, accountId, region) => ({
    Sid: 'LogsOfThisAccount',
    Effect: 'Allow',
    Principal: { Service: `logs.${region}.amazonaws.com` },
    Action: [
      'kms:Encrypt',
      'kms:Decrypt',
      'kms:ReEncryptFrom',
      'kms:ReEncryptTo',
      'kms:GenerateDataKey',
      'kms:DescribeKey',
    ],
    Resource: '*',
    Condition: {
      ArnLike: { 'kms:EncryptionContext:aws:logs:arn': `arn:${partition}:logs:${region}:${accountId}:log-group:*` },
    },
  }),
  // SNS developer guide, "Enable compatibility between event sources from AWS services and encrypted topics".
  alarms: (_partition, accountId) => ({
    Sid: 'AlarmsOfThisAccount',
    Effect: 'Allow',
    Principal: { Service: ['cloudwatch.amazonaws.com', 'budgets.amazonaws.com'] },
    Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
    Resource: '*',
    Condition: { StringEquals: { 'aws:SourceAccount': accountId } },
  }),
  // CloudTrail user guide, "Configure AWS KMS key policies for CloudTrail".
  trail: (partition, accountId) => ({
    Sid: 'TrailOfThisAccount',
    Effect: 'Allow',
    Principal: { Service: 'cloudtrail.amazonaws.com' },
    Action: ['kms:GenerateDataKey', 'kms:DescribeKey'],
    Resource: '*',
    Condition: {
      StringEquals: { 'aws:SourceAccount': accountId },
      StringLike: { 'kms:EncryptionContext:aws:cloudtrail:arn': `arn:${partition}:cloudtrail:*:${accountId}:trail/*` },
    },
  }),
};
