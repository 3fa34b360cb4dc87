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
const TEMPLATE = 'aws:ec2/launchTemplate:LaunchTemplate';
const LOG = 'aws:cloudwatch/logGroup:LogGroup';
const LISTENER = 'aws:lb/listener:Listener';
const BALANCER = 'aws:lb/loadBalancer:LoadBalancer';
const TASK = 'aws:ecs/taskDefinition:TaskDefinition';
const SERVICE = 'aws:ecs/service:Service';
const ROLE_POLICY = 'aws:iam/rolePolicy:RolePolicy';
const ADMINISTRATOR = 'arn:aws:iam::aws:policy/AdministratorAccess';
const FIRST_MOUNT = 'inputs.volumes.0.efsVolumeConfiguration';
const PROVIDER = 'pulumi:providers:aws';
const TWO_ACCOUNTS = ['111122223333', '999900001111'];
const SUBNET = 'aws:ec2/subnet:Subnet';
const BY_DEFAULT = 'inputs.rules.0.applyServerSideEncryptionByDefault';

export const MUTATIONS: readonly Mutation[] = [
  { policy: 'encryption-at-rest', of: 'aws:efs/fileSystem:FileSystem', set: ['inputs.encrypted', false] },
  { policy: 'encryption-at-rest', of: 'aws:efs/fileSystem:FileSystem', set: ['inputs.kmsKeyId', undefined] },
  {
    policy: 'bucket-encryption',
    of: ENCRYPTION,
    set: [`${BY_DEFAULT}.kmsMasterKeyId`, 'alias/aws/s3'],
    named: /-datasets-encryption$/,
  },
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
  { policy: 'protected-data', of: 'aws:s3/bucket:Bucket', set: ['protect', false], named: /-datasets$/ },
  { policy: 'protected-data', of: 'aws:efs/fileSystem:FileSystem', set: ['protect', false] },
  { policy: 'protected-data', of: 'aws:kms/key:Key', set: ['protect', false] },
  { policy: 'encryption-at-rest', of: LOG, set: ['inputs.kmsKeyId', undefined] },
  { policy: 'encryption-at-rest', of: 'aws:secretsmanager/secret:Secret', set: ['inputs.kmsKeyId', undefined] },
  { policy: 'encryption-at-rest', of: 'aws:sns/topic:Topic', set: ['inputs.kmsMasterKeyId', undefined] },
  { policy: 'encryption-at-rest', of: TEMPLATE, set: ['inputs.blockDeviceMappings.0.ebs.encrypted', 'false'] },
  { policy: 'encryption-at-rest', of: TEMPLATE, set: ['inputs.blockDeviceMappings.0.ebs.kmsKeyId', undefined] },
  {
    policy: 'encryption-at-rest',
    of: 'aws:ecr/repository:Repository',
    set: ['inputs.encryptionConfigurations', undefined],
  },
  { policy: 'bucket-encryption', of: ENCRYPTION, set: ['type', 'gone'], at: 'aws:s3/bucket:Bucket' },
  { policy: 'tls-only', of: LISTENER, set: ['inputs.sslPolicy', 'ELBSecurityPolicy-2016-08'], named: /-https$/ },
  { policy: 'tls-only', of: LISTENER, set: ['inputs.protocol', 'HTTP'], named: /-https$/ },
  { policy: 'tls-only', of: LISTENER, set: ['inputs.defaultActions.0.type', 'forward'], named: /-http$/ },
  { policy: 'tls-only', of: TASK, set: [`${FIRST_MOUNT}.transitEncryption`, 'DISABLED'], named: /-agent$/ },
  { policy: 'tls-only', of: TASK, set: [`${FIRST_MOUNT}.authorizationConfig.iam`, 'DISABLED'], named: /-agent$/ },
  { policy: 'no-public-address', of: SERVICE, set: ['inputs.networkConfiguration.assignPublicIp', true] },
  { policy: 'imdsv2', of: TEMPLATE, set: ['inputs.metadataOptions.httpTokens', 'optional'] },
  { policy: 'imdsv2', of: TEMPLATE, set: ['inputs.metadataOptions.httpPutResponseHopLimit', 2] },
  { policy: 'log-retention', of: LOG, set: ['inputs.retentionInDays', 0] },
  { policy: 'log-retention', of: 'aws:ec2/flowLog:FlowLog', set: ['inputs.trafficType', 'REJECT'] },
  { policy: 'log-retention', of: BALANCER, set: ['inputs.accessLogs.enabled', false], named: /-annotation$/ },
  { policy: 'log-retention', of: 'aws:cloudtrail/trail:Trail', set: ['inputs.enableLogFileValidation', false] },
  { policy: 'flow-logged', of: 'aws:ec2/flowLog:FlowLog', set: ['type', 'gone'], at: 'aws:ec2/vpc:Vpc' },
  { policy: 'least-privilege', of: ROLE_POLICY, set: ['inputs.policy.Statement.0.Action', '*'] },
  { policy: 'least-privilege', of: 'aws:iam/role:Role', set: ['inputs.managedPolicyArns', [ADMINISTRATOR]] },
  { policy: 'bound-roles', of: 'aws:iam/role:Role', set: ['inputs.permissionsBoundary', undefined] },
  { policy: 'own-account', of: ROLE_POLICY, set: ['inputs.policy.Statement.0.Resource', FOREIGN_KEY] },
  { policy: 'own-account', of: LOG, set: ['inputs.kmsKeyId', FOREIGN_KEY] },
  ...['aws:ecs/service:Service', 'aws:autoscaling/group:Group', 'aws:efs/mountTarget:MountTarget'].map(
    (at): Mutation => ({
      policy: 'placed-privately',
      of: SUBNET,
      named: /-private-\d$/,
      set: ['inputs.mapPublicIpOnLaunch', true],
      at,
    }),
  ),
  {
    policy: 'bound-principals',
    of: 'aws:kms/key:Key',
    named: /-operations-key$/,
    set: ['inputs.policy.Statement.2.Condition', {}],
  },
  {
    policy: 'bound-principals',
    of: 'aws:s3/bucketPolicy:BucketPolicy',
    named: /-annotation-access-policy$/,
    set: ['inputs.policy.Statement.1.Condition', {}],
  },
  { policy: 'explicit-provider', of: PROVIDER, set: ['inputs.allowedAccountIds', TWO_ACCOUNTS], at: 'aws:kms/key:Key' },
  { policy: 'one-account', of: PROVIDER, set: ['inputs.allowedAccountIds', TWO_ACCOUNTS], at: 'aws:kms/key:Key' },
  ...['Project', 'Environment', 'ManagedBy'].map(
    (tag): Mutation => ({
      policy: 'tags',
      of: PROVIDER,
      set: [`inputs.defaultTags.tags.${tag}`, undefined],
      at: 'aws:efs/fileSystem:FileSystem',
    }),
  ),
  // Asked of sites alone, and only they have instances.
  { policy: 'tags', of: PROVIDER, set: ['inputs.defaultTags.tags.Site', undefined], at: 'aws:autoscaling/group:Group' },
  { policy: 'gpu-families', of: TEMPLATE, set: ['inputs.instanceType', 'p3.2xlarge'] },
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
