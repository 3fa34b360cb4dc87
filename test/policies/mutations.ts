import type { Registration } from '../engine/deployment';
import { changed } from './change';

/**
 * Each protected property of the plans, broken: the policy must find it on every resource of the type, or on those whose name is
 * meant. `set` is a path in the registration. Data, so that a reviewer sees what is covered.
 */
export interface Mutation {
  readonly policy: string;
  readonly of: string;
  readonly named?: RegExp;
  readonly set: readonly [path: string, value: unknown];
  /** Type on which the finding is reported, where another resource is the one that lacks something. @default `of` */
  readonly at?: string;
}

const FOREIGN_KEY = 'arn:aws:kms:eu-west-2:999900001111:key/5d6c';
const ENCRYPTION = 'aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration';
const BLOCK = 'aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock';
const INGRESS = 'aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule';
const EGRESS = 'aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule';
const BY_DEFAULT = 'inputs.rules.0.applyServerSideEncryptionByDefault';

export const MUTATIONS: readonly Mutation[] = [
  { policy: 'encryption-at-rest', of: 'aws:efs/fileSystem:FileSystem', set: ['inputs.encrypted', false] },
  { policy: 'encryption-at-rest', of: 'aws:efs/fileSystem:FileSystem', set: ['inputs.kmsKeyId', undefined] },
  { policy: 'bucket-encryption', of: ENCRYPTION, set: [`${BY_DEFAULT}.kmsMasterKeyId`, 'alias/aws/s3'] },
  { policy: 'bucket-encryption', of: ENCRYPTION, set: [`${BY_DEFAULT}.sseAlgorithm`, 'none'] },
  { policy: 'key-care', of: 'aws:kms/key:Key', set: ['inputs.enableKeyRotation', false] },
  { policy: 'key-care', of: 'aws:kms/key:Key', set: ['inputs.deletionWindowInDays', 7] },
  {
    policy: 'tls-only',
    of: 'aws:efs/fileSystemPolicy:FileSystemPolicy',
    set: ['inputs.policy.Statement.0.Effect', 'Allow'],
  },
  {
    policy: 'stores-tls-only',
    of: 'aws:s3/bucketPolicy:BucketPolicy',
    set: ['inputs.policy.Statement.0.Effect', 'Allow'],
  },
  {
    policy: 'stores-tls-only',
    of: 'aws:s3/bucketPolicy:BucketPolicy',
    set: ['inputs.policy.Statement.0.Action', 's3:PutObject'],
  },
  {
    policy: 'stores-tls-only',
    of: 'aws:s3/bucketPolicy:BucketPolicy',
    set: ['type', 'gone'],
    at: 'aws:s3/bucket:Bucket',
  },
  { policy: 'no-public-address', of: BLOCK, set: ['inputs.blockPublicAcls', false] },
  { policy: 'no-public-address', of: BLOCK, set: ['inputs.blockPublicPolicy', false] },
  { policy: 'no-public-address', of: BLOCK, set: ['inputs.ignorePublicAcls', false] },
  { policy: 'no-public-address', of: BLOCK, set: ['inputs.restrictPublicBuckets', false] },
  { policy: 'buckets-closed', of: BLOCK, set: ['type', 'gone'], at: 'aws:s3/bucket:Bucket' },
  {
    policy: 'buckets-closed',
    of: 'aws:s3/bucketVersioning:BucketVersioning',
    set: ['inputs.versioningConfiguration.status', 'Suspended'],
  },
  {
    policy: 'buckets-closed',
    of: 'aws:s3/bucketOwnershipControls:BucketOwnershipControls',
    set: ['inputs.rule.objectOwnership', 'ObjectWriter'],
  },
  { policy: 'open-to-the-world', of: INGRESS, set: ['inputs.cidrIpv4', '0.0.0.0/0'] },
  { policy: 'open-to-the-world', of: INGRESS, set: ['inputs.ipProtocol', '-1'] },
  { policy: 'open-to-the-world', of: EGRESS, set: ['inputs.cidrIpv6', '::/0'], named: /-to-mounts$/ },
  {
    policy: 'internet-meets-balancers',
    of: INGRESS,
    set: ['inputs.cidrIpv4', '203.0.113.7/32'],
    named: /-from-clients$/,
  },
  { policy: 'least-privilege', of: 'aws:kms/key:Key', set: ['inputs.policy.Statement.0.Principal', '*'] },
  { policy: 'least-privilege', of: 'aws:kms/key:Key', set: ['inputs.policy.Statement.0.Sid', 'Unheard'] },
  {
    policy: 'own-account',
    of: 'aws:kms/key:Key',
    set: ['inputs.policy.Statement.0.Principal', { AWS: '999900001111' }],
  },
  { policy: 'own-account', of: 'aws:efs/fileSystem:FileSystem', set: ['inputs.kmsKeyId', FOREIGN_KEY] },
  { policy: 'tags', of: 'aws:efs/fileSystem:FileSystem', set: ['inputs.tags.PatientName', 'Smith'] },
  { policy: 'explicit-provider', of: 'aws:s3/bucket:Bucket', set: ['provider', 'default:aws'] },
  { policy: 'protected-data', of: 'aws:s3/bucket:Bucket', set: ['protect', false] },
  { policy: 'protected-data', of: 'aws:efs/fileSystem:FileSystem', set: ['protect', false] },
  { policy: 'protected-data', of: 'aws:kms/key:Key', set: ['protect', false] },
];

/** The resources of a plan with the mutation in every one that it concerns, and which these are. */
export function mutated(
  resources: readonly Registration[],
  { of, named, set: [path, value] }: Mutation,
): { readonly resources: Registration[]; readonly broken: readonly Registration[] } {
  const isMeant = ({ type, name }: Registration) => type === of && (named === undefined || named.test(name));
  const broken = resources.filter(isMeant);
  return {
    broken,
    resources: resources.map((resource) => {
      if (!isMeant(resource)) return resource;
      const other = changed(resource, path, value) as Registration;
      // What is said at the end are the outputs, which repeat the inputs.
      return path.startsWith('inputs.') ? { ...other, outputs: { ...resource.outputs, ...other.inputs } } : other;
    }),
  };
}
