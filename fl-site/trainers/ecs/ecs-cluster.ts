import { ClaraError } from '../../../base/errors';
import type { Pacing } from '../../backoff';
import type { EcsSettings } from '../../trainer-configuration';
import { awsName, awsRequest, withoutArns } from './aws-requests';
import type { EcsTask } from './task-end';

/** What is asked of AWS for one trainer: start a task, look at it, end it, read what it prints. */
export interface EcsCluster {
  /**
   * Starts the task of a token, or answers with the one that was started with it before.
   * @throws NoCapacity when no machine has room now
   */
  start(order: TaskOrder, signal: AbortSignal): Promise<string>;
  /** Undefined when ECS does not know it (yet, or any more: it forgets a stopped task after an hour). */
  describe(task: string, signal: AbortSignal): Promise<EcsTask | undefined>;
  stop(task: string, reason: string, signal: AbortSignal): Promise<void>;
  /** Tasks of a token that have not been told to stop. */
  find(token: string, signal: AbortSignal): Promise<readonly string[]>;
  /** @returns what is there, for people. @throws ClaraError when tasks could not be started */
  look(signal: AbortSignal): Promise<string>;
  /** What the task has printed since `after`. */
  read(task: string, after: string | undefined, signal: AbortSignal): Promise<LogPage>;
  close(): void;
}

export interface TaskOrder {
  /** Random, and written down before it is used. Up to 36 characters, so that it fits `startedBy` too. */
  readonly token: string;
  /** In place of the container's command. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
}

export interface LogPage {
  readonly lines: readonly string[];
  readonly next: string | undefined;
}

/** Nothing is wrong with the task: there is no machine for it now. */
export class NoCapacity extends Error {}

/** What ECS says when a task cannot be placed, now or until a quota is raised. */
const NO_ROOM = /^(?:RESOURCE:|AGENT$)|capacity|no container instances/i;
/** RunTask takes so many characters of overrides. */
const MAX_OVERRIDES = 8192;

/** The SDK is loaded by the first trainer of this kind: no other agent should keep it in memory. */
export function awsCluster(settings: EcsSettings, site: string, pacing: Pacing): EcsCluster {
  // The SDK is pinned, so that what later releases of it will need says nothing to whoever reads the log.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  const ecs = require('@aws-sdk/client-ecs') as typeof import('@aws-sdk/client-ecs');
  const { cluster } = settings;
  const common = {
    ...(settings.region ? { region: settings.region } : {}),
    ...(settings.role ? { credentials: takenRole(settings.role, site, settings.region) } : {}),
    maxAttempts: 1,
    requestHandler: { connectionTimeout: 5000, requestTimeout: 60_000, throwOnRequestTimeout: true },
  };
  const client = new ecs.ECSClient(common);
  const logs = settings.logs && logReader(settings, settings.logs, common);

  return {
    async start(order, signal) {
      const overrides = {
        containerOverrides: [
          {
            name: settings.container,
            command: [...order.command],
            environment: Object.entries(order.environment).map(([name, value]) => ({ name, value })),
          },
        ],
      };
      const length = JSON.stringify(overrides).length;
      if (length > MAX_OVERRIDES) {
        const rule = `ECS takes ${MAX_OVERRIDES}; shorten trainer.command and trainer.environment, or put them into the task definition`;
        throw new ClaraError(
          'invalid-input',
          `command and environment of the trainer have ${length} characters; ${rule}`,
        );
      }
      const request = {
        cluster,
        taskDefinition: settings.taskDefinition,
        count: 1,
        capacityProviderStrategy: [{ capacityProvider: settings.capacityProvider, weight: 1 }],
        clientToken: order.token,
        startedBy: order.token,
        group: settings.group,
        ...(settings.network && {
          networkConfiguration: {
            awsvpcConfiguration: {
              subnets: settings.network.subnets,
              securityGroups: settings.network.securityGroups,
              assignPublicIp: 'DISABLED' as const,
            },
          },
        }),
        overrides,
        enableECSManagedTags: true,
        tags: Object.entries(order.tags).map(([key, value]) => ({ key, value })),
      };
      try {
        const { tasks = [], failures = [] } = await awsRequest(
          'starting the trainer as an ECS task',
          pacing,
          signal,
          (options) => client.send(new ecs.RunTaskCommand(request), options),
        );
        const arn = tasks[0]?.taskArn;
        if (arn) return arn;
        throw placementFailure(failures[0]?.reason ?? 'no reason was given');
      } catch (thrown) {
        // The same token with other settings: the site's configuration was changed while this task ran.
        const { resourceIds = [] } = (thrown as { cause?: { resourceIds?: string[] } }).cause ?? {};
        if (awsName(thrown) === 'ConflictException' && resourceIds[0]) return resourceIds[0];
        // Said of a cluster without an instance, or of one with too many tasks that wait for one already.
        const why = thrown instanceof ClaraError ? thrown.message : '';
        if (
          ['ClientException', 'InvalidParameterException', 'LimitExceededException'].includes(awsName(thrown)) &&
          /no container instances|capacity|provisioning/i.test(why)
        )
          throw new NoCapacity(why);
        throw thrown;
      }
    },

    async describe(task, signal) {
      const { tasks = [], failures = [] } = await awsRequest('looking at the ECS task', pacing, signal, (options) =>
        client.send(new ecs.DescribeTasksCommand({ cluster, tasks: [task] }), options),
      );
      if (tasks[0]) return tasks[0];
      const reason = failures[0]?.reason ?? 'MISSING';
      if (reason === 'MISSING') return undefined;
      throw new ClaraError('unavailable', `ECS says of the trainer's task: ${reason}`);
    },

    async stop(task, reason, signal) {
      await awsRequest('ending the ECS task', pacing, signal, (options) =>
        client.send(new ecs.StopTaskCommand({ cluster, task, reason }), options),
      );
    },

    async find(token, signal) {
      const { taskArns = [] } = await awsRequest('looking for the ECS task', pacing, signal, (options) =>
        client.send(new ecs.ListTasksCommand({ cluster, startedBy: token }), options),
      );
      return taskArns;
    },

    async look(signal) {
      const { clusters = [] } = await awsRequest('looking at the ECS cluster', pacing, signal, (options) =>
        client.send(new ecs.DescribeClustersCommand({ clusters: [cluster] }), options),
      );
      const found = clusters[0];
      const { capacityProvider } = settings;
      if (found?.status !== 'ACTIVE') {
        const why = found ? `is ${found.status}` : 'is not there';
        throw new ClaraError('not-found', `the ECS cluster ${withoutArns(cluster)} ${why}`);
      }
      if (!found.capacityProviders?.includes(capacityProvider)) {
        const others = found.capacityProviders?.join(', ') || 'none';
        throw new ClaraError(
          'not-found',
          `${found.clusterName} has no capacity provider ${capacityProvider}, but ${others}`,
        );
      }
      return `tasks go to ${capacityProvider} of the ECS cluster ${found.clusterName}, which has ${found.registeredContainerInstancesCount ?? 0} machines now`;
    },

    read: async (task, after, signal) => (logs ? logs.read(task, after, pacing, signal) : { lines: [], next: after }),

    close() {
      client.destroy();
      logs?.close();
    },
  };
}

function placementFailure(reason: string): Error {
  if (NO_ROOM.test(reason)) return new NoCapacity(reason);
  return new ClaraError(
    'invalid-input',
    `ECS does not start the trainer: ${reason}; check trainer.ecs in the site configuration`,
  );
}

function takenRole(role: string, site: string, region: string | undefined) {
  const { fromTemporaryCredentials } =
    require('@aws-sdk/credential-providers') as typeof import('@aws-sdk/credential-providers');
  return fromTemporaryCredentials({
    params: { RoleArn: role, RoleSessionName: `clara-fed-${site}`.slice(0, 64) },
    ...(region ? { clientConfig: { region } } : {}),
  });
}

/** https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html: PREFIX/CONTAINER/TASK-ID */
function logReader(
  { container }: EcsSettings,
  { group, streamPrefix }: NonNullable<EcsSettings['logs']>,
  common: object,
) {
  const cloudWatch = require('@aws-sdk/client-cloudwatch-logs') as typeof import('@aws-sdk/client-cloudwatch-logs');
  const client = new cloudWatch.CloudWatchLogsClient(common);
  return {
    async read(task: string, after: string | undefined, pacing: Pacing, signal: AbortSignal): Promise<LogPage> {
      const request = {
        logGroupName: group,
        logStreamName: `${streamPrefix}/${container}/${task.split('/').at(-1)}`,
        startFromHead: true,
        ...(after === undefined ? {} : { nextToken: after }),
      };
      try {
        const { events = [], nextForwardToken } = await awsRequest(
          "reading the trainer's output",
          pacing,
          signal,
          (options) => client.send(new cloudWatch.GetLogEventsCommand(request), options),
        );
        return { lines: events.map(({ message = '' }) => message), next: nextForwardToken ?? after };
      } catch (thrown) {
        // There is no stream before the first line.
        if (awsName(thrown) === 'ResourceNotFoundException') return { lines: [], next: after };
        throw thrown;
      }
    },
    close: () => client.destroy(),
  };
}
