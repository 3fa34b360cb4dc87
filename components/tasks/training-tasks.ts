import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import { COMMON_ENVIRONMENT } from '../containers/program';
import { SITE_FOLDERS } from '../containers/site-programs';
import { requireAwsProvider } from '../explicit-provider';
import { checked } from '../faults';
import { containerMemory } from '../gpu/gpu-families';
import { given } from '../input-rules';
import { securityGroup } from '../network/task-security-group';
import { TRAINER, type Trainer } from '../setting-rules';
import { type SiteContext, stackPrefix } from '../site-context';
import { type ContainerTask, containerTask } from './container-task';
import { mountWorkspace } from './task-policies';

export interface TrainingTasksArgs {
  readonly site: SiteContext;
  readonly trainers: readonly Trainer[];
}

const ARGUMENTS = z.strictObject({
  site: given,
  trainers: z.array(TRAINER).refine((trainers) => new Set(trainers.map(({ name }) => name)).size === trainers.length, {
    message: 'must have different names',
  }),
});

/** Name of the only container of a training task: what the agent's overrides are addressed to. */
export const TRAINER_CONTAINER = 'trainer';

/** The GPU task definitions that the agent of a site may start, and nothing else may. */
export class TrainingTasks extends pulumi.ComponentResource {
  /** Family of each trainer's task definition, plain, because it is made of configuration. */
  public readonly families: Readonly<Record<string, string>>;
  public readonly definitionArns: Readonly<Record<string, pulumi.Output<string>>>;
  /** Roles that whoever starts a task must hand over. */
  public readonly roleArns: pulumi.Output<string[]>;
  public readonly securityGroupId: pulumi.Output<string>;
  public readonly logGroupNames: Readonly<Record<string, pulumi.Output<string>>>;
  public readonly logGroupArns: pulumi.Output<string[]>;

  /** @throws DeploymentInputError on a broken argument or without an explicit aws provider */
  constructor(name: string, args: TrainingTasksArgs, opts?: pulumi.ComponentResourceOptions) {
    const what = `TrainingTasks ${name}`;
    const { trainers } = checked(what, ARGUMENTS, args);
    requireAwsProvider(what, opts);
    super('clara-federation:training:TrainingTasks', name, {}, opts);
    const child = { parent: this };
    const { site } = args;
    const { network } = site;

    const group = securityGroup(
      name,
      { vpcId: network.vpcId, description: `Training tasks of ${stackPrefix(site)}`, egress: network.awsApis },
      child,
    );
    const tasks = trainers.map((trainer) => [trainer.name, this.#task(name, site, trainer)] as const);

    this.families = Object.fromEntries(trainers.map((trainer) => [trainer.name, familyOf(site, trainer.name)]));
    this.definitionArns = Object.fromEntries(tasks.map(([trainer, { definition }]) => [trainer, definition.arn]));
    this.roleArns = pulumi.all(tasks.flatMap(([, { taskRole, executionRole }]) => [taskRole.arn, executionRole.arn]));
    this.securityGroupId = group.id;
    this.logGroupNames = Object.fromEntries(tasks.map(([trainer, { log }]) => [trainer, log.name]));
    this.logGroupArns = pulumi.all(tasks.map(([, { log }]) => log.arn));
    this.registerOutputs({
      families: this.families,
      definitionArns: this.definitionArns,
      securityGroupId: this.securityGroupId,
    });
  }

  #task(name: string, site: SiteContext, trainer: z.output<typeof TRAINER>): ContainerTask {
    const { workspace } = site;
    return containerTask(
      `${name}-${trainer.name}`,
      {
        family: familyOf(site, trainer.name),
        launch: { kind: 'instances' },
        containers: [
          {
            name: TRAINER_CONTAINER,
            image: trainer.image,
            command: trainer.command,
            environment: COMMON_ENVIRONMENT,
            mounts: { training: SITE_FOLDERS.training, scratch: '/tmp' },
            memory: containerMemory(trainer.gpuFamily),
            gpus: 1,
            stopTimeout: 60,
            // Frameworks write their caches where their image has them.
            readonlyRootFilesystem: false,
          },
        ],
        volumes: {
          training: { fileSystemId: workspace.fileSystemId, accessPointId: workspace.accessPointIds.training },
          scratch: 'scratch',
        },
        // A trainer reads the site's data and writes its folder; it has no other right, and no way to the federation.
        statements: pulumi
          .all([workspace.fileSystemArn, workspace.accessPointArns.training])
          .apply(([fileSystem, room]) => [mountWorkspace(fileSystem, [room])]),
        logDays: site.logDays,
        logKeyArn: site.operationsKeyArn,
      },
      { parent: this },
    );
  }
}

function familyOf(site: SiteContext, trainer: string): string {
  return `${stackPrefix(site)}-trainer-${trainer}`;
}
