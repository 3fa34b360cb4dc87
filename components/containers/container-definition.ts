/**
 * Container definitions as ECS keeps them. A task definition is replaced whenever its JSON differs from what ECS answers,
 * and ECS fills in empty lists, drops nulls and sorts what was not sorted; so one function renders all of them: keys in
 * order, lists that have no order sorted by name, every empty list written out, nothing null.
 */

export interface LogDestination {
  readonly group: string;
  readonly region: string;
}

export interface HealthCheck {
  readonly command: readonly string[];
  /** Seconds. */
  readonly interval: number;
  readonly timeout: number;
  readonly retries: number;
  readonly startPeriod: number;
}

export interface Container {
  readonly name: string;
  readonly image: string;
  /** Arguments of the image's entry point. */
  readonly command: readonly string[];
  /** @default the image's own */
  readonly entryPoint?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly ports?: readonly number[];
  /** Path in the container by the name of a volume of the task. */
  readonly mounts?: Readonly<Record<string, string>>;
  readonly log: LogDestination;
  /** MiB that the container may use; it is ended when it uses more. */
  readonly memory: number;
  /** GPUs of the instance that it gets for itself. */
  readonly gpus?: number;
  readonly healthCheck?: HealthCheck;
  /** False for a container that ends while the task goes on. @default true */
  readonly essential?: boolean;
  /** Names of containers that must have ended well before this one starts. */
  readonly after?: readonly string[];
  /** Seconds between SIGTERM and SIGKILL. @default 60; Fargate allows 120 at most */
  readonly stopTimeout?: number;
  /**
   * False where people open a shell: the agent of ECS Exec writes into the container (ECS developer guide, "ECS Exec
   * considerations"). @default true: what a program writes goes to its volumes
   */
  readonly readonlyRootFilesystem?: boolean;
  /** Name of a private registry's credentials in Secrets Manager. */
  readonly repositoryCredentials?: string;
}

/** Workers that load data hand volumes over in /dev/shm, of which a container has 64 MiB otherwise. Instances only. */
const SHARED_MEMORY_MIB = 4096;

/** One definition, in the exact form that ECS answers. */
export function containerDefinition(container: Container): Readonly<Record<string, unknown>> {
  const { ports = [], mounts = {}, gpus = 0, after = [], healthCheck, repositoryCredentials } = container;
  return {
    name: container.name,
    image: container.image,
    command: container.command,
    entryPoint: container.entryPoint ?? [],
    environment: pairs(container.environment, (name, value) => ({ name, value })),
    // Programs read their secrets themselves; none is in an environment.
    secrets: [],
    portMappings: [...ports]
      .sort((a, b) => a - b)
      .map((port) => ({ containerPort: port, hostPort: port, protocol: 'tcp' })),
    mountPoints: pairs(mounts, (sourceVolume, containerPath) => ({ sourceVolume, containerPath, readOnly: false })),
    volumesFrom: [],
    systemControls: [],
    resourceRequirements: gpus === 0 ? [] : [{ type: 'GPU', value: String(gpus) }],
    dependsOn: [...after].sort().map((containerName) => ({ containerName, condition: 'SUCCESS' })),
    essential: container.essential ?? true,
    cpu: 0,
    memory: container.memory,
    readonlyRootFilesystem: container.readonlyRootFilesystem ?? true,
    stopTimeout: container.stopTimeout ?? 60,
    linuxParameters: { initProcessEnabled: true, ...(gpus > 0 && { sharedMemorySize: SHARED_MEMORY_MIB }) },
    logConfiguration: {
      logDriver: 'awslogs',
      options: {
        'awslogs-group': container.log.group,
        'awslogs-region': container.log.region,
        'awslogs-stream-prefix': container.name,
      },
      secretOptions: [],
    },
    ...(healthCheck && { healthCheck }),
    ...(repositoryCredentials && { repositoryCredentials: { credentialsParameter: repositoryCredentials } }),
  };
}

/** The JSON text of a task's definitions: the same text for the same containers, however they were written down. */
export function containerDefinitions(containers: readonly Container[]): string {
  return JSON.stringify(sorted(containers.map(containerDefinition)));
}

function pairs<Pair>(map: Readonly<Record<string, string>>, pair: (key: string, value: string) => Pair): Pair[] {
  return Object.keys(map)
    .sort()
    .map((key) => pair(key, map[key]));
}

/** Keys of objects in order; lists keep theirs. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const record = value as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    Object.keys(record)
      .sort()
      .filter((key) => record[key] !== undefined && record[key] !== null)
      .map((key) => [key, sorted(record[key])]),
  );
}
