import { ADOPTED, HOSPITAL, OTHER, PLATFORM } from './identities';
import { arnOf, resource, type World } from './world';

const SECRET = 'aws:secretsmanager/secret:Secret';

/** ARNs of what the rows are about. */
export type Places = ReturnType<typeof placesOf>;

export function placesOf(world: World) {
  const { plans } = world;
  const hospital = {
    ...siteOf(world, HOSPITAL),
    // A hospital that trains only, like the other one, has no annotation server.
    path: arnOf(resource(plans[HOSPITAL], SECRET, /-annotation-path$/)),
  };
  const platform = plans[PLATFORM];
  const store = arnOf(resource(platform, 'aws:s3/bucket:Bucket', 'prod-store'));
  return {
    hospital,
    other: siteOf(world, OTHER),
    adopted: siteOf(world, ADOPTED),
    platform: {
      account: platform.account,
      region: platform.region,
      store,
      storeKey: arnOf(resource(platform, 'aws:kms/key:Key', 'prod-store-key')),
      authority: arnOf(resource(platform, SECRET, 'prod-coordinator-authority')),
      firstOperator: arnOf(resource(platform, SECRET, 'prod-coordinator-operator')),
      secretsKey: arnOf(resource(platform, 'aws:kms/key:Key', 'prod-coordinator-key')),
      audit: arnOf(resource(platform, 'aws:s3/bucket:Bucket', 'prod-store-audit')),
      trail: arnOf(resource(platform, 'aws:cloudtrail/trail:Trail', 'prod-store-audit')),
      image: arnOf(resource(platform, 'aws:ecr/repository:Repository', 'prod-images-agent-eu-central-1')),
    },
  };
}

export type SitePlaces = ReturnType<typeof siteOf>;

/** The same places of any hospital. */
export function siteOf(world: World, stack: string) {
  const plan = world.plans[stack];
  const { account, region } = plan;
  const arn = (type: string, name: RegExp) => arnOf(resource(plan, type, name));
  const POINT = 'aws:efs/accessPoint:AccessPoint';
  const cluster = arn('aws:ecs/cluster:Cluster', /-gpu$/);
  return {
    account,
    region,
    datasets: arn('aws:s3/bucket:Bucket', /-datasets$/),
    datasetsKey: arn('aws:kms/key:Key', /-datasets-key$/),
    workspace: arn('aws:efs/fileSystem:FileSystem', /-workspace$/),
    workspaceKey: arn('aws:kms/key:Key', /-workspace-key$/),
    rooms: {
      agent: arn(POINT, /-workspace-agent$/),
      training: arn(POINT, /-workspace-training$/),
      annotation: arn(POINT, /-workspace-aiaa$/),
    },
    invitation: arn(SECRET, /-invitation$/),
    cluster,
    task: `${cluster.replace(':cluster/', ':task/')}/0123456789abcdef0123456789abcdef`,
    definitions: {
      trainer: arn('aws:ecs/taskDefinition:TaskDefinition', /-training-/),
      prepare: arn('aws:ecs/taskDefinition:TaskDefinition', /-bootstrap-prepare$/),
    },
    roles: {
      trainer: arn('aws:iam/role:Role', /-training-.*-task$/),
      prepare: arn('aws:iam/role:Role', /-bootstrap-prepare-task$/),
      deployment: `arn:aws:iam::${account}:role/clara-federation-deployment`,
    },
    agentLog: `${arn('aws:cloudwatch/logGroup:LogGroup', /-agent$/)}:log-stream:agent/agent/0123456789abcdef`,
    trainerLog: `${arn('aws:cloudwatch/logGroup:LogGroup', /-training-/)}:log-stream:trainer/trainer/0123456789abcdef`,
  };
}
