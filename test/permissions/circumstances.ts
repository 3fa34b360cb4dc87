import { HOSPITAL, type Identity, service } from './identities';
import type { Places } from './places';
import type { Call, Layer } from './request';
import { mount, taskBoundary } from './table';
import { arnOf, resource, type World } from './world';

/**
 * Calls that are let through, and the same calls with one circumstance changed, which are not. `by` is written by hand: what must
 * refuse, and nothing else does.
 */
export interface Circumstance {
  readonly what: string;
  readonly changed: string;
  readonly by: readonly Layer[];
  readonly of: (at: Scene) => Attempt;
  readonly but: (attempt: Attempt, at: Scene) => Attempt;
}

export interface Attempt {
  readonly who: Identity;
  readonly call: Call;
}

export interface Scene {
  readonly world: World;
  readonly places: Places;
  readonly who: (key: string) => Identity;
}

const OTHER_ACCOUNT = '121212121212';

const inContext =
  (context: Call['context']) =>
  ({ who, call }: Attempt): Attempt => ({ who, call: { ...call, context: { ...call.context, ...context } } });

const inRegion =
  (region: string) =>
  ({ who, call }: Attempt): Attempt => ({ who, call: { ...call, region } });

const at = (
  { account, region }: { readonly account: string; readonly region: string },
  action: string,
  to: string,
  context: Call['context'] = {},
): Call => ({ action, resource: to, account, region, context });

const read = ({ who, places: { hospital } }: Scene): Attempt => ({
  who: who('prepare'),
  call: at(hospital, 's3:GetObject', `${hospital.datasets}/images/spleen_10.nii.gz`),
});

const upload = ({ who, places: { hospital } }: Scene): Attempt => ({
  who: who('admin'),
  call: at(hospital, 's3:PutObject', `${hospital.datasets}/images/spleen_10.nii.gz`),
});

const start = ({ who, places: { hospital: h } }: Scene): Attempt => ({
  who: who('agent'),
  call: at(h, 'ecs:RunTask', h.definitions.trainer, { 'ecs:cluster': h.cluster }),
});

const record = ({ world, places: { platform: p } }: Scene): Attempt => ({
  who: service('cloudtrail.amazonaws.com', 'CloudTrail'),
  call: at(p, 's3:PutObject', `${p.audit}/AWSLogs/${p.account}/CloudTrail/1.json.gz`, {
    'aws:SourceArn': p.trail,
    'aws:SourceAccount': p.account,
    'aws:SourceOrgID': world.organizationId,
  }),
});

const launch = ({ who, places: { hospital: h } }: Scene): Attempt => ({
  who: who('deployer'),
  call: at(h, 'ec2:RunInstances', `arn:aws:ec2:${h.region}:${h.account}:instance/i-0123456789abcdef0`, {
    'ec2:MetadataHttpTokens': 'required',
  }),
});

export const CIRCUMSTANCES: readonly Circumstance[] = [
  {
    what: 'the preparation reads an image',
    changed: 'without TLS',
    by: ['resource', 'rcp'],
    of: read,
    but: inContext({ 'aws:SecureTransport': 'false' }),
  },
  {
    what: 'the preparation reads an image',
    changed: 'with TLS 1.1',
    by: ['resource'],
    of: read,
    but: inContext({ 's3:TlsVersion': '1.1' }),
  },
  {
    what: 'the hospital uploads an image, with the encryption of the bucket',
    changed: 'names a key of its own',
    by: ['resource'],
    of: upload,
    but: inContext({
      's3:x-amz-server-side-encryption': 'aws:kms',
      's3:x-amz-server-side-encryption-aws-kms-key-id': `arn:aws:kms:eu-central-1:${OTHER_ACCOUNT}:key/5d6c`,
    }),
  },
  {
    what: 'the hospital uploads an image, with the encryption of the bucket',
    changed: "names S3's keys",
    by: ['resource'],
    of: upload,
    but: inContext({ 's3:x-amz-server-side-encryption': 'AES256' }),
  },
  {
    what: 'a stranger reads data of its own account',
    changed: "from within the hospital's network: nothing is carried out with credentials that were carried in",
    by: ['vpce'],
    of: ({ who }) => ({
      who: who('stranger'),
      call: at({ account: who('stranger').account, region: 'eu-central-1' }, 's3:GetObject', 'arn:aws:s3:::loot/image'),
    }),
    but: ({ who, call }) => ({ who: { ...who, network: HOSPITAL }, call }),
  },
  {
    what: 'the agent mounts the training room',
    changed: 'without TLS',
    by: ['resource'],
    of: ({ who, places: { hospital: h } }) => ({ who: who('agent'), call: mount(h, h.rooms.training) }),
    but: inContext({ 'aws:SecureTransport': 'false' }),
  },
  {
    what: 'the agent mounts the training room',
    changed: 'through no access point',
    by: ['identity'],
    of: ({ who, places: { hospital: h } }) => ({ who: who('agent'), call: mount(h, h.rooms.training) }),
    but: inContext({ 'elasticfilesystem:AccessPointArn': undefined }),
  },
  {
    what: 'the agent starts a training task',
    changed: 'in another cluster',
    by: ['identity'],
    of: start,
    but: ({ who, call }, { places: { hospital: h } }) => ({
      who,
      call: { ...call, context: { 'ecs:cluster': `${h.cluster}-of-somebody` } },
    }),
  },
  {
    what: "the agent hands a task the trainer's role",
    changed: 'hands it to an instance',
    by: ['identity'],
    of: ({ who, places: { hospital: h } }) => ({
      who: who('agent'),
      call: at(h, 'iam:PassRole', h.roles.trainer, { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' }),
    }),
    but: inContext({ 'iam:PassedToService': 'ec2.amazonaws.com' }),
  },
  {
    what: 'the agent tags the task that it starts',
    changed: 'tags one that runs',
    by: ['identity'],
    of: ({ who, places: { hospital: h } }) => ({
      who: who('agent'),
      call: at(h, 'ecs:TagResource', h.task, { 'ecs:CreateAction': 'RunTask' }),
    }),
    but: inContext({ 'ecs:CreateAction': undefined }),
  },
  {
    what: "the platform's pipeline takes the deployment role",
    changed: 'after its account has left the organisation',
    by: ['resource'],
    of: ({ who, places: { hospital: h } }) => ({
      who: who('ci'),
      call: at(h, 'sts:AssumeRole', h.roles.deployment),
    }),
    but: inContext({ 'aws:PrincipalOrgID': undefined }),
  },
  {
    what: 'a deployment makes a secret, for which Secrets Manager decrypts',
    changed: 'decrypts by itself',
    by: ['pb', 'scp'],
    of: ({ who, places: { hospital: h } }) => ({
      who: who('deployer'),
      call: at(h, 'kms:Decrypt', h.datasetsKey, { 'kms:ViaService': `secretsmanager.${h.region}.amazonaws.com` }),
    }),
    but: inContext({ 'kms:ViaService': undefined }),
  },
  {
    what: 'a deployment makes a role below the boundary of tasks',
    changed: 'below a boundary of its own making',
    by: ['identity', 'pb'],
    of: ({ who, places: { hospital: h } }) => ({
      who: who('deployer'),
      call: at(h, 'iam:CreateRole', h.roles.prepare, { 'iam:PermissionsBoundary': taskBoundary(h) }),
    }),
    but: inContext({ 'iam:PermissionsBoundary': `arn:aws:iam::${OTHER_ACCOUNT}:policy/everything` }),
  },
  {
    what: 'a deployment makes a file system',
    changed: 'in a region that the organisation does not use',
    by: ['scp'],
    of: ({ who, places: { hospital: h } }) => ({
      who: who('deployer'),
      call: at(h, 'elasticfilesystem:CreateFileSystem', '*', { 'elasticfilesystem:Encrypted': 'true' }),
    }),
    but: inRegion('us-east-1'),
  },
  {
    what: 'a deployment starts an instance',
    changed: 'that answers about itself without a session (IMDSv1)',
    by: ['scp'],
    of: launch,
    but: inContext({ 'ec2:MetadataHttpTokens': 'optional' }),
  },
  {
    what: 'CloudTrail writes a record',
    changed: 'for another trail',
    by: ['resource'],
    of: record,
    but: inContext({ 'aws:SourceArn': `arn:aws:cloudtrail:eu-west-2:${OTHER_ACCOUNT}:trail/mine` }),
  },
  {
    what: 'CloudTrail writes a record',
    changed: 'on behalf of another organisation',
    by: ['rcp'],
    of: record,
    but: inContext({ 'aws:SourceOrgID': 'o-somebodyelse' }),
  },
  {
    what: 'CloudWatch encrypts an alarm for its topic',
    changed: 'for an alarm of another account',
    by: ['resource'],
    of: ({ world, places: { hospital: h } }) => ({
      who: service('cloudwatch.amazonaws.com', 'CloudWatch'),
      call: at(h, 'kms:GenerateDataKey', operationsKey(world), {
        'aws:SourceAccount': h.account,
        'aws:SourceOrgID': world.organizationId,
      }),
    }),
    but: inContext({ 'aws:SourceAccount': OTHER_ACCOUNT }),
  },
  {
    what: 'ECS takes the role of the preparation',
    changed: "for a task of another account: no service is deceived into a hospital's rights",
    by: ['resource'],
    of: ({ places: { hospital: h } }) => ({
      who: service('ecs-tasks.amazonaws.com', 'ECS'),
      call: at(h, 'sts:AssumeRole', h.roles.prepare, { 'aws:SourceAccount': h.account }),
    }),
    but: inContext({ 'aws:SourceAccount': OTHER_ACCOUNT }),
  },
];

function operationsKey({ plans }: World): string {
  return arnOf(resource(plans[HOSPITAL], 'aws:kms/key:Key', /-operations-key$/));
}
