import * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';
import { type Container, containerDefinitions } from '../containers/container-definition';
import { repositoryArn } from '../containers/image';
import { logGroup } from '../operations/log-group';
import { placeOf } from '../place';
import type { Statement } from '../policy-document';
import { executionStatements, shellChannel } from './task-policies';
import { serviceRole } from './task-role';

/** A container whose log the task fills in. */
export interface TaskContainer extends Omit<Container, 'log' | 'environment' | 'command'> {
  readonly command: pulumi.Input<readonly string[]>;
  readonly environment: pulumi.Input<Readonly<Record<string, pulumi.Input<string>>>>;
}

/** A folder of a file system by access point, or room on the host that goes with the task. */
export type TaskVolume =
  | 'scratch'
  | { readonly fileSystemId: pulumi.Input<string>; readonly accessPointId: pulumi.Input<string> };

export interface ContainerTaskOptions {
  /** Name of the family: unique in account and region, so it carries environment and site. */
  readonly family: string;
  readonly containers: readonly TaskContainer[];
  readonly volumes: Readonly<Record<string, TaskVolume>>;
  /** `fargate` with its size, or `instances`, where the containers' own limits count. */
  readonly launch:
    | { readonly kind: 'fargate'; readonly cpu: number; readonly memory: number }
    | { readonly kind: 'instances' };
  /** Rights of the containers, beyond a shell. */
  readonly statements: pulumi.Input<readonly Statement[]>;
  readonly logDays: number;
  readonly logKeyArn: pulumi.Input<string>;
}

export interface ContainerTask {
  readonly definition: aws.ecs.TaskDefinition;
  readonly taskRole: aws.iam.Role;
  readonly executionRole: aws.iam.Role;
  readonly log: aws.cloudwatch.LogGroup;
}

/** A task definition with everything that is its own: log group, and two roles with the rights of this task alone. */
export function containerTask(
  name: string,
  options: ContainerTaskOptions,
  child: pulumi.CustomResourceOptions & { readonly parent: pulumi.Resource },
): ContainerTask {
  const { family, containers, volumes, launch, statements, logDays, logKeyArn } = options;
  const { partition, region } = placeOf(child.parent);
  const log = logGroup(name, { retentionDays: logDays, keyArn: logKeyArn }, child);
  const taskRole = serviceRole(
    `${name}-task`,
    { statements: pulumi.output(statements).apply((list) => [shellChannel(), ...list]) },
    child,
  );
  const executionRole = serviceRole(
    `${name}-execution`,
    {
      statements: pulumi.all([partition, log.arn]).apply(([part, logGroupArn]) =>
        executionStatements({
          repositoryArns: [...new Set(containers.map(({ image }) => repositoryArn(image, part)))].sort(),
          logGroupArn,
        }),
      ),
    },
    child,
  );
  const definition = new aws.ecs.TaskDefinition(
    name,
    {
      family,
      networkMode: 'awsvpc',
      requiresCompatibilities: [launch.kind === 'fargate' ? 'FARGATE' : 'EC2'],
      ...(launch.kind === 'fargate' && {
        cpu: String(launch.cpu),
        memory: String(launch.memory),
        ephemeralStorage: { sizeInGib: 40 },
      }),
      runtimePlatform: { operatingSystemFamily: 'LINUX', cpuArchitecture: 'X86_64' },
      taskRoleArn: taskRole.arn,
      executionRoleArn: executionRole.arn,
      volumes: Object.keys(volumes)
        .sort()
        .map((volume) => taskVolume(volume, volumes[volume])),
      containerDefinitions: pulumi
        .all([log.name, region, pulumi.all(containers.map(resolved))])
        .apply(([group, area, maps]) =>
          containerDefinitions(
            containers.map((container, index) => ({ ...container, ...maps[index], log: { group, region: area } })),
          ),
        ),
    },
    child,
  );
  return { definition, taskRole, executionRole, log };
}

/** An access point is the root of what it shows; naming another root would be refused. */
function taskVolume(name: string, volume: TaskVolume): aws.types.input.ecs.TaskDefinitionVolume {
  if (volume === 'scratch') return { name };
  return {
    name,
    efsVolumeConfiguration: {
      fileSystemId: volume.fileSystemId,
      rootDirectory: '/',
      transitEncryption: 'ENABLED',
      authorizationConfig: { accessPointId: volume.accessPointId, iam: 'ENABLED' },
    },
  };
}

function resolved({ command, environment }: TaskContainer) {
  return pulumi.all([pulumi.output(command), pulumi.output(environment)]).apply(([words, variables]) => ({
    command: words as readonly string[],
    environment: variables as Record<string, string>,
  }));
}
