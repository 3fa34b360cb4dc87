import type { Places, SitePlaces } from './places';
import type { Call } from './request';

/**
 * Who may do what, as the design has it. Written by hand, and never from the policies: a cell that differs from what AWS would
 * decide is a defect of one of the two.
 */
export interface Row {
  readonly section: Section;
  readonly what: string;
  readonly call: (places: Places) => Call;
  /** Keys of identities; everybody else is refused. */
  readonly may: readonly string[];
}

export const SECTIONS = [
  "The hospital's dataset bucket",
  "The hospital's workspace",
  "The hospital's keys and secrets",
  "The hospital's tasks and roles",
  'Journal, models and images of the platform',
  'What the coordinators keep in secrets',
  'Records of what was done',
  'The account and its guard-rails',
] as const;

export type Section = (typeof SECTIONS)[number];

type At = { readonly account: string; readonly region: string };

const call = (at: At, action: string, to: string, context: Call['context'] = {}): Call => ({
  action,
  resource: to,
  account: at.account,
  region: at.region,
  context,
});

const row = (section: Section, what: string, place: Row['call'], may: readonly string[]): Row => ({
  section,
  what,
  call: place,
  may,
});

const IMAGE = 'images/spleen_10.nii.gz';
/** By its very name: it may do with its account what nobody forbids. */
const ADMIN = ['admin'];
const MOUNT = 'elasticfilesystem:ClientMount';

export function mount(
  { account, region, workspace }: SitePlaces,
  accessPoint: string | undefined,
  action = MOUNT,
): Call {
  const context = {
    'elasticfilesystem:AccessPointArn': accessPoint,
    'elasticfilesystem:AccessedViaMountTarget': 'true',
  };
  return call({ account, region }, action, workspace, context);
}

const [DATASETS, WORKSPACE, SECRETS, TASKS, STORE, KEPT, RECORDS, ACCOUNT] = SECTIONS;

export const ROWS: readonly Row[] = [
  row(DATASETS, 'read an image', ({ hospital: h }) => call(h, 's3:GetObject', `${h.datasets}/${IMAGE}`), [
    'prepare',
    ...ADMIN,
  ]),
  row(
    DATASETS,
    'read on in the version of an image that was opened',
    ({ hospital: h }) => call(h, 's3:GetObjectVersion', `${h.datasets}/${IMAGE}`),
    ['prepare', ...ADMIN],
  ),
  row(DATASETS, 'list the images', ({ hospital: h }) => call(h, 's3:ListBucket', h.datasets), [
    'prepare',
    'deployer',
    ...ADMIN,
  ]),
  row(DATASETS, 'write an image', ({ hospital: h }) => call(h, 's3:PutObject', `${h.datasets}/${IMAGE}`), ADMIN),
  row(
    DATASETS,
    'delete an image for good',
    ({ hospital: h }) => call(h, 's3:DeleteObjectVersion', `${h.datasets}/${IMAGE}`),
    ADMIN,
  ),
  row(DATASETS, 'take away its policy', ({ hospital: h }) => call(h, 's3:DeleteBucketPolicy', h.datasets), [
    'deployer',
  ]),
  row(DATASETS, 'open it to the public', ({ hospital: h }) => call(h, 's3:PutBucketPublicAccessBlock', h.datasets), [
    'deployer',
  ]),

  row(WORKSPACE, "mount the agent's room", ({ hospital: h }) => mount(h, h.rooms.agent), ['agent', ...ADMIN]),
  row(WORKSPACE, 'mount the training room', ({ hospital: h }) => mount(h, h.rooms.training), [
    'agent',
    'trainer',
    'prepare',
    ...ADMIN,
  ]),
  row(
    WORKSPACE,
    'write in the annotation room',
    ({ hospital: h }) => mount(h, h.rooms.annotation, 'elasticfilesystem:ClientWrite'),
    ['agent', 'aiaa', 'prepare', ...ADMIN],
  ),
  row(WORKSPACE, 'mount all of it, by no access point', ({ hospital: h }) => mount(h, undefined), ADMIN),
  row(
    WORKSPACE,
    'be root in it',
    ({ hospital: h }) => mount(h, h.rooms.training, 'elasticfilesystem:ClientRootAccess'),
    ADMIN,
  ),
  row(WORKSPACE, 'delete it', ({ hospital: h }) => call(h, 'elasticfilesystem:DeleteFileSystem', h.workspace), [
    'deployer',
  ]),

  row(SECRETS, "decrypt with the datasets' key", ({ hospital: h }) => call(h, 'kms:Decrypt', h.datasetsKey), [
    'prepare',
    ...ADMIN,
  ]),
  row(SECRETS, "decrypt with the workspace's key", ({ hospital: h }) => call(h, 'kms:Decrypt', h.workspaceKey), ADMIN),
  row(SECRETS, "delete the datasets' key", ({ hospital: h }) => call(h, 'kms:ScheduleKeyDeletion', h.datasetsKey), [
    'deployer',
  ]),
  row(SECRETS, 'read the invitation', ({ hospital: h }) => call(h, 'secretsmanager:GetSecretValue', h.invitation), [
    'agent',
    ...ADMIN,
  ]),
  row(
    SECRETS,
    "read the annotation server's path",
    ({ hospital: h }) => call(h, 'secretsmanager:GetSecretValue', h.path),
    ['aiaa', 'deployer', ...ADMIN],
  ),
  row(SECRETS, 'put an invitation', ({ hospital: h }) => call(h, 'secretsmanager:PutSecretValue', h.invitation), ADMIN),

  row(
    TASKS,
    'start a training task',
    ({ hospital: h }) => call(h, 'ecs:RunTask', h.definitions.trainer, { 'ecs:cluster': h.cluster }),
    ['agent', 'deployer', ...ADMIN],
  ),
  row(
    TASKS,
    'start the task that reads the datasets',
    ({ hospital: h }) => call(h, 'ecs:RunTask', h.definitions.prepare, { 'ecs:cluster': h.cluster }),
    ['deployer', ...ADMIN],
  ),
  row(TASKS, 'end a task', ({ hospital: h }) => call(h, 'ecs:StopTask', h.task, { 'ecs:cluster': h.cluster }), [
    'agent',
    'deployer',
    ...ADMIN,
  ]),
  row(TASKS, 'open a shell in a task', ({ hospital: h }) => call(h, 'ecs:ExecuteCommand', h.task), ADMIN),
  row(
    TASKS,
    "hand a task the trainer's role",
    ({ hospital: h }) => call(h, 'iam:PassRole', h.roles.trainer, { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' }),
    ['agent', 'deployer', ...ADMIN],
  ),
  row(
    TASKS,
    'hand a task the role that reads the datasets',
    ({ hospital: h }) => call(h, 'iam:PassRole', h.roles.prepare, { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' }),
    ['deployer', ...ADMIN],
  ),
  row(
    TASKS,
    'hand a task a role that the hospital has for itself',
    ({ hospital: h }) => call(h, 'iam:PassRole', ownRole(h), { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' }),
    ADMIN,
  ),
  row(TASKS, "take a task's role", ({ hospital: h }) => call(h, 'sts:AssumeRole', h.roles.prepare), []),
  row(
    TASKS,
    "take a task's role of a hospital that keeps its account",
    ({ adopted }) => call(adopted, 'sts:AssumeRole', adopted.roles.prepare),
    [],
  ),
  row(TASKS, "read a trainer's log", ({ hospital: h }) => call(h, 'logs:GetLogEvents', h.trainerLog), [
    'agent',
    ...ADMIN,
  ]),
  row(TASKS, "read the agent's log", ({ hospital: h }) => call(h, 'logs:GetLogEvents', h.agentLog), ADMIN),

  row(STORE, 'read journal and models', ({ platform: p }) => call(p, 's3:GetObject', `${p.store}/coordinator/runs/1`), [
    'coordinator',
    'ci',
    'operator',
  ]),
  row(
    STORE,
    'read on in the version of a model that was opened',
    ({ platform: p }) => call(p, 's3:GetObjectVersion', `${p.store}/coordinator/models/1`),
    ['coordinator', 'ci', 'operator'],
  ),
  row(STORE, 'write a model', ({ platform: p }) => call(p, 's3:PutObject', `${p.store}/coordinator/models/1`), [
    'coordinator',
    'ci',
    'operator',
  ]),
  row(
    STORE,
    'delete a version of the journal for good',
    ({ platform: p }) => call(p, 's3:DeleteObjectVersion', `${p.store}/coordinator/runs/1`),
    ['ci', 'operator'],
  ),
  row(STORE, 'decrypt with its key', ({ platform: p }) => call(p, 'kms:Decrypt', p.storeKey), [
    'coordinator',
    'ci',
    'operator',
  ]),
  row(STORE, "pull the agent's image", ({ platform: p }) => call(p, 'ecr:BatchGetImage', p.image), [
    ...['agentStart', 'deployer', 'admin', 'platformDeployer', 'ci', 'operator'],
    ...['otherDeployer', 'otherAdmin'],
  ]),
  row(STORE, 'push an image', ({ platform: p }) => call(p, 'ecr:PutImage', p.image), [
    'platformDeployer',
    'ci',
    'operator',
  ]),

  row(
    KEPT,
    "read the federation's authority",
    ({ platform: p }) => call(p, 'secretsmanager:GetSecretValue', p.authority),
    ['coordinator', 'ci', 'operator'],
  ),
  row(
    KEPT,
    "put a value in the authority's place",
    ({ platform: p }) => call(p, 'secretsmanager:PutSecretValue', p.authority),
    ['coordinator', 'ci', 'operator'],
  ),
  row(
    KEPT,
    "read the first operator's credentials",
    ({ platform: p }) => call(p, 'secretsmanager:GetSecretValue', p.firstOperator),
    ['coordinator', 'ci', 'operator'],
  ),
  row(
    KEPT,
    "decrypt with the key of the coordinators' secrets",
    ({ platform: p }) => call(p, 'kms:Decrypt', p.secretsKey),
    ['ci', 'operator'],
  ),
  row(KEPT, 'delete the authority', ({ platform: p }) => call(p, 'secretsmanager:DeleteSecret', p.authority), [
    'platformDeployer',
    'ci',
    'operator',
  ]),

  row(
    RECORDS,
    'delete a record for good',
    ({ platform: p }) => call(p, 's3:DeleteObjectVersion', `${p.audit}/AWSLogs/1`),
    [],
  ),
  row(RECORDS, 'hide a record', ({ platform: p }) => call(p, 's3:DeleteObject', `${p.audit}/AWSLogs/1`), []),
  row(RECORDS, 'forge a record', ({ platform: p }) => call(p, 's3:PutObject', `${p.audit}/AWSLogs/1`), []),
  row(RECORDS, 'stop recording', ({ platform: p }) => call(p, 'cloudtrail:StopLogging', p.trail), []),
  row(RECORDS, 'delete the trail', ({ platform: p }) => call(p, 'cloudtrail:DeleteTrail', p.trail), [
    'platformDeployer',
  ]),

  row(ACCOUNT, 'leave the organisation', ({ hospital: h }) => call(h, 'organizations:LeaveOrganization', '*'), []),
  row(ACCOUNT, 'close the account', ({ hospital: h }) => call(h, 'account:CloseAccount', accountArn(h)), []),
  row(
    ACCOUNT,
    'make a file system in another region',
    ({ hospital: h }) => call({ ...h, region: 'us-east-1' }, 'elasticfilesystem:CreateFileSystem', '*', ENCRYPTED),
    [],
  ),
  row(
    ACCOUNT,
    'make a file system that is not encrypted',
    ({ hospital: h }) => call(h, 'elasticfilesystem:CreateFileSystem', '*', { 'elasticfilesystem:Encrypted': 'false' }),
    [],
  ),
  row(
    ACCOUNT,
    'make a file system that is',
    ({ hospital: h }) => call(h, 'elasticfilesystem:CreateFileSystem', '*', ENCRYPTED),
    ['deployer', ...ADMIN],
  ),
  row(ACCOUNT, 'make an access key', ({ hospital: h }) => call(h, 'iam:CreateAccessKey', userArn(h)), []),
  row(
    ACCOUNT,
    'make a role below the boundary of tasks',
    ({ hospital: h }) => call(h, 'iam:CreateRole', madeRole(h), { 'iam:PermissionsBoundary': taskBoundary(h) }),
    ['deployer', ...ADMIN],
  ),
  row(
    ACCOUNT,
    'make a role without a boundary',
    ({ hospital: h }) => call(h, 'iam:CreateRole', madeRole(h), { 'iam:PermissionsBoundary': undefined }),
    ADMIN,
  ),
  row(
    ACCOUNT,
    "take a role's boundary away",
    ({ hospital: h }) => call(h, 'iam:DeleteRolePermissionsBoundary', h.roles.prepare),
    ADMIN,
  ),
  row(
    ACCOUNT,
    'say who may take a role that the hospital has for itself',
    ({ hospital: h }) => call(h, 'iam:UpdateAssumeRolePolicy', ownRole(h)),
    ADMIN,
  ),
  row(
    ACCOUNT,
    'change the boundary of tasks',
    ({ hospital: h }) => call(h, 'iam:CreatePolicyVersion', taskBoundary(h)),
    ['org'],
  ),
  row(ACCOUNT, 'deploy: take the deployment role', ({ hospital: h }) => call(h, 'sts:AssumeRole', h.roles.deployment), [
    'ci',
  ]),
  row(ACCOUNT, 'widen the deployment role', ({ hospital: h }) => call(h, 'iam:PutRolePolicy', h.roles.deployment), [
    'org',
  ]),
  row(
    ACCOUNT,
    "change what the organisation's stack may",
    ({ hospital: h }) =>
      call(h, 'iam:UpdateAssumeRolePolicy', `arn:aws:iam::${h.account}:role/OrganizationAccountAccessRole`),
    ['org'],
  ),
];

const ENCRYPTED = { 'elasticfilesystem:Encrypted': 'true' } as const;

const accountArn = ({ account }: At) => `arn:aws:account::${account}:account`;
const userArn = ({ account }: At) => `arn:aws:iam::${account}:user/somebody`;
const ownRole = ({ account }: At) => `arn:aws:iam::${account}:role/HospitalAdministrator`;
const madeRole = ({ account }: At) => `arn:aws:iam::${account}:role/clara-federation/anything`;
export const taskBoundary = ({ account }: At) => `arn:aws:iam::${account}:policy/clara-federation-deployment-roles`;

/** What another hospital must never be able to do, whichever two hospitals they are. */
export function crossHospitalCalls(site: SitePlaces): readonly Call[] {
  return [
    call(site, 's3:GetObject', `${site.datasets}/${IMAGE}`),
    call(site, 's3:PutObject', `${site.datasets}/${IMAGE}`),
    call(site, 'kms:Decrypt', site.datasetsKey),
    mount(site, site.rooms.training),
    mount(site, undefined),
    call(site, 'secretsmanager:GetSecretValue', site.invitation),
    call(site, 'ecs:RunTask', site.definitions.trainer, { 'ecs:cluster': site.cluster }),
    call(site, 'iam:PassRole', site.roles.prepare, { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' }),
    call(site, 'sts:AssumeRole', site.roles.prepare),
    call(site, 'logs:GetLogEvents', site.agentLog),
  ];
}
