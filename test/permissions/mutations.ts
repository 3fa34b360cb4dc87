import type { Registration } from '../engine/deployment';
import { type Deployed, type World, worldOf } from './world';

/** A document of a plan with one statement changed, and what must then be different in the tables. */
export interface Mutation {
  readonly what: string;
  readonly changes: readonly Change[];
  /** Row, and who may then do it beyond those of the table. */
  readonly opens: Readonly<Record<string, readonly string[]>>;
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
const onlyQueues: Change['to'] = (statement) => ({ ...statement, Action: 'sqs:*' });
const BOUNDARY = 'org-deployment-prod-charite-boundary';
const AGENT = 'charite-agent-task';
/** Somebody lets everybody in, in the policy of the bucket. */
const OPEN_BUCKET = change(CHARITE, 'charite-datasets-policy', 'DenyOldTls', ({ Condition: _none, ...rest }) => ({
  ...rest,
  Effect: 'Allow',
}));

/** Somebody lets everybody take the role that reads the datasets. */
const OPEN_ROLE = change(CHARITE, 'charite-bootstrap-prepare-task', 'ServiceOfThisAccount', (statement) => ({
  ...statement,
  Principal: { AWS: '*' },
  Condition: {},
}));

export const MUTATIONS: readonly Mutation[] = [
  {
    what: 'the boundary of deployments forgets data',
    changes: [change('org', BOUNDARY, 'NeverReadData')],
    opens: { 'read an image': ['deployer'], 'open a shell in a task': ['deployer'] },
  },
  {
    what: 'the boundary of deployments forgets keys',
    changes: [change('org', BOUNDARY, 'NeverDecrypt')],
    opens: { "decrypt with the datasets' key": ['deployer'] },
  },
  {
    what: 'the boundary of deployments forgets the invitation',
    changes: [change('org', BOUNDARY, 'NeverUseInvitations')],
    opens: { 'read the invitation': ['deployer'], 'put an invitation': ['deployer'] },
  },
  {
    what: 'members may leave',
    changes: [change('org', 'org-units-baseline', 'DenyLeaving')],
    opens: { 'leave the organisation': ['admin', 'org'], 'close the account': ['admin', 'org'] },
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
      "take a task's role": ['agent', 'agentStart', 'trainer', 'aiaa', 'aiaaStart', 'prepare', 'node', 'admin', 'org'],
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
