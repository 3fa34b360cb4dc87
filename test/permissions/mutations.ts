import type { Registration } from '../engine/deployment';
import { STRANGER } from './identities';
import { type Deployed, type World, worldOf } from './world';

/** A document of a plan with one statement changed, and what must then be different in the tables. */
export interface Mutation {
  readonly what: string;
  readonly changes: readonly Change[];
  /** Row, and who may then do it beyond those of the table. */
  readonly opens: Readonly<Record<string, readonly string[]>>;
  /** Rows that must stay as they are: what else stands in the way. */
  readonly stays?: readonly string[];
}

interface Change {
  readonly stack: string;
  readonly named: string;
  readonly sid: string;
  /** Undefined takes the statement away. */
  readonly to?: (statement: Record<string, unknown>) => Record<string, unknown>;
}

const CHARITE = 'prod-charite';
const without =
  (key: string): Change['to'] =>
  ({ [key]: _gone, ...rest }) =>
    rest;
const everywhere: Change['to'] = (statement) => ({ ...statement, Resource: '*' });
const change = (stack: string, named: string, sid: string, to?: Change['to']): Change => ({
  stack,
  named,
  sid,
  ...(to && { to }),
});
const onlySaml: Change['to'] = (statement) => ({ ...statement, Action: 'sts:AssumeRoleWithSAML' });
const onlyQueues: Change['to'] = (statement) => ({ ...statement, Action: 'sqs:*' });
const DEPLOYMENT = 'org-deployment-prod-charite';
const BOUNDARY = `${DEPLOYMENT}-boundary`;
const OUTSIDE = 'org-units-outside-roles';
const AGENT = 'charite-agent-task';
/** Somebody lets everybody in, in the policy of the bucket. */
const OPEN_BUCKET = change(CHARITE, 'charite-datasets-policy', 'DenyOldTls', ({ Condition: _none, ...rest }) => ({
  ...rest,
  Effect: 'Allow',
}));

const byTheirAuthor: Change['to'] = (statement) => ({
  ...statement,
  Principal: { AWS: `arn:aws:iam::${STRANGER}:root` },
  Condition: {},
});
/** Somebody lets everybody take the role that reads the datasets. */
const byEverybody: Change['to'] = (statement) => ({ ...statement, Principal: { AWS: '*' }, Condition: {} });
const OPEN_ROLE = change(CHARITE, 'charite-bootstrap-prepare-task', 'ServiceOfThisAccount', byEverybody);

export const MUTATIONS: readonly Mutation[] = [
  {
    what: 'the boundary of deployments, and the organisation, forget data',
    changes: [change('org', BOUNDARY, 'NeverReadData'), change('org', OUTSIDE, 'DenyDeploymentData')],
    opens: { 'read an image': ['deployer'], 'open a shell in a task': ['deployer'] },
  },
  {
    what: 'the boundary of deployments, and the organisation, forget keys',
    changes: [change('org', BOUNDARY, 'NeverDecrypt'), change('org', OUTSIDE, 'DenyDeploymentKeys')],
    opens: { "decrypt with the datasets' key": ['deployer'] },
  },
  {
    what: 'the boundary of deployments forgets the invitation',
    changes: [change('org', BOUNDARY, 'NeverUseKeys')],
    opens: { 'read the invitation': ['deployer'], 'put an invitation': ['deployer'] },
  },
  {
    what: 'the boundary of deployments forgets what coordinators keep',
    changes: [change('org', 'org-deployment-prod-boundary', 'NeverUseKeys')],
    opens: {
      "read the federation's authority": ['platformDeployer'],
      "put a value in the authority's place": ['platformDeployer'],
      "read the first operator's credentials": ['platformDeployer'],
    },
  },
  {
    what: 'a task of the coordinators decrypts past Secrets Manager',
    changes: [change('prod', 'prod-coordinator-a-task', 'EncryptSecrets', without('Condition'))],
    opens: { "decrypt with the key of the coordinators' secrets": ['coordinator'] },
  },
  {
    what: 'members may leave',
    changes: [change('org', 'org-units-baseline', 'DenyLeaving')],
    opens: { 'leave the organisation': ['admin'], 'close the account': ['admin'] },
  },
  {
    what: 'nobody guards the deployment role',
    changes: [change('org', 'org-units-baseline', 'DenyTouchingDeployment')],
    opens: { 'widen the deployment role': ['admin'] },
  },
  {
    what: "the organisation's stack is bound by its own rules",
    changes: [change('org', 'org-units-baseline', 'DenyTouchingDeployment', without('Condition'))],
    opens: { 'widen the deployment role': ['!org'] },
  },
  {
    what: "the organisation's role is bound by nothing but its own rights",
    changes: [change('org', OUTSIDE, 'DenyOrganizationAllElse')],
    opens: {
      'read an image': ['org'],
      'write an image': ['org'],
      'mount the training room': ['org'],
      "decrypt with the datasets' key": ['org'],
      'read the invitation': ['org'],
      'open a shell in a task': ['org'],
      'make a role without a boundary': ['org'],
    },
    stays: ['hand a task the role that reads the datasets'],
  },
  {
    what: "the organisation's role may hand on roles that are not its work",
    changes: [change('org', OUTSIDE, 'DenyOrganizationAllElse'), change('org', OUTSIDE, 'DenyOrganizationOtherRoles')],
    opens: { 'hand a task the role that reads the datasets': ['org'] },
  },
  {
    what: 'deployments make roles without a boundary: two layers would have to go',
    changes: [
      change('org', DEPLOYMENT, 'MakeBoundRoles', without('Condition')),
      change('org', BOUNDARY, 'NeverMakeUnboundRoles'),
    ],
    opens: { 'make a role without a boundary': ['deployer'] },
  },
  {
    what: 'deployments may hand over every role',
    changes: [change('org', DEPLOYMENT, 'HandOverRoles', everywhere)],
    opens: { 'hand a task a role that the hospital has for itself': ['deployer'] },
  },
  {
    what: 'a plan gives a trainer every right: its boundary gives it those of tasks',
    changes: [
      change(CHARITE, 'charite-training-monai-unet-task', 'MountWorkspace', ({ Sid, Effect }) => ({
        Sid,
        Effect,
        Action: '*',
        Resource: '*',
      })),
    ],
    opens: { 'start the task that reads the datasets': ['trainer'] },
    stays: [
      'open a shell in a task',
      'make a role below the boundary of tasks',
      'make a role without a boundary',
      'hand a task a role that the hospital has for itself',
      'delete an image for good',
      'be root in it',
      'make a file system that is',
    ],
  },
  {
    what: 'the boundary of tasks holds them: without stores nothing reads',
    changes: [change('org', `${DEPLOYMENT}-roles`, 'CeilingOfStores')],
    opens: { 'read an image': ['!prepare'], 'read the invitation': ['!agent'] },
  },
  {
    what: "a plan lets its author's account take a role in an account that a hospital keeps: the organisation does not",
    changes: [change('prod-st-marys', 'st-marys-bootstrap-prepare-task', 'ServiceOfThisAccount', byTheirAuthor)],
    opens: {},
    stays: ["take a task's role of a hospital that keeps its account"],
  },
  {
    what: "a plan lets its author's account take a role in an account that a hospital keeps, and the organisation forgets it",
    changes: [
      change('prod-st-marys', 'st-marys-bootstrap-prepare-task', 'ServiceOfThisAccount', byTheirAuthor),
      change('org', 'org-units-made-role-perimeter', 'DenyMadeRolesToOthers', onlySaml),
    ],
    opens: { "take a task's role of a hospital that keeps its account": ['stranger'] },
  },
  {
    what: 'the agent may start everything',
    changes: [change(CHARITE, AGENT, 'StartTraining', everywhere)],
    opens: { 'start the task that reads the datasets': ['agent'] },
  },
  {
    what: 'the agent may hand over every role',
    changes: [change(CHARITE, AGENT, 'HandOverRoles', everywhere)],
    opens: { 'hand a task the role that reads the datasets': ['agent'] },
  },
  {
    what: 'a trainer mounts without an access point',
    changes: [change(CHARITE, 'charite-training-monai-unet-task', 'MountWorkspace', without('Condition'))],
    opens: { "mount the agent's room": ['trainer'], 'mount all of it, by no access point': ['trainer'] },
  },
  {
    what: 'records can be deleted',
    changes: [change('prod', 'prod-store-audit-policy', 'DenyDeletingRecords')],
    opens: { 'hide a record': ['ci', 'operator'] },
  },
  {
    what: 'the bucket lets everybody in: the organisation still does not',
    changes: [OPEN_BUCKET],
    opens: {
      // In the hospital's own account the policy of a bucket is enough.
      'read an image': ['agent', 'agentStart', 'trainer', 'aiaa', 'aiaaStart', 'node'],
    },
  },
  {
    what: 'the bucket lets everybody in, and the organisation lets hospitals at each other',
    changes: [OPEN_BUCKET, change('org', 'org-units-hospital-perimeter', 'DenyOtherAccounts', onlyQueues)],
    opens: {
      'read an image': [
        ...['agent', 'agentStart', 'trainer', 'aiaa', 'aiaaStart', 'node'],
        // Those who have the right, too: from another account both sides must agree.
        ...['ci', 'operator', 'otherAdmin'],
      ],
    },
  },
  {
    what: "a task's role can be taken by everybody: the organisation still lets only the hospital's own account",
    changes: [OPEN_ROLE],
    opens: {
      "take a task's role": ['agent', 'agentStart', 'trainer', 'aiaa', 'aiaaStart', 'prepare', 'node', 'admin'],
    },
  },
];

const DOCUMENTS = ['policy', 'content', 'assumeRolePolicy'] as const;

/** @throws Error when there is no such statement: a mutation of nothing shows nothing */
export function mutatedWorld({ plans }: World, changes: readonly Change[]): World {
  let now: Readonly<Record<string, Deployed>> = plans;
  for (const { stack, named, sid, to } of changes) {
    let found = 0;
    const resources = now[stack].resources.map((resource) => {
      if (resource.name !== named) return resource;
      const inputs = { ...resource.inputs };
      for (const property of DOCUMENTS) {
        const text = inputs[property];
        if (typeof text !== 'string' || !text.includes(`"${sid}"`)) continue;
        found += 1;
        const document = JSON.parse(text) as { Statement: Record<string, unknown>[] };
        const Statement = document.Statement.flatMap((each) => (each.Sid !== sid ? [each] : to ? [to(each)] : []));
        inputs[property] = JSON.stringify({ ...document, Statement });
      }
      return { ...resource, inputs } satisfies Registration;
    });
    if (found !== 1) throw new Error(`${found} statements ${sid} of ${named} in ${stack}`);
    now = { ...now, [stack]: { ...now[stack], resources } };
  }
  return worldOf(now);
}
