import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import type { Program } from '../containers/program';
import {
  CONFIGURATION_VARIABLE,
  configurationWriter,
  preflightProgram,
  prepareProgram,
} from '../containers/site-programs';
import type { DatasetBucket } from '../dataset-bucket';
import { requireAwsProvider } from '../explicit-provider';
import { checked } from '../faults';
import { given } from '../input-rules';
import { DATASET_FOLDER, PREPARATION, type Preparation } from '../setting-rules';
import { type SiteContext, stackPrefix } from '../site-context';
import { containerTask } from './container-task';
import { roomMount, roomVolumes, type SiteAgent } from './site-agent';
import { lookAtCluster, readObjects } from './task-policies';

export interface WorkspaceBootstrapArgs {
  readonly site: SiteContext;
  readonly agent: SiteAgent;
  readonly datasets: DatasetBucket;
  /** Folder of the dataset, and name of its archive in the bucket. @default none: nothing is prepared */
  readonly dataset?: string;
  /** How it is prepared, and what comes with it. @default the archive as it is */
  readonly preparation?: Preparation;
}

const ARGUMENTS = z.strictObject({
  site: given,
  agent: given,
  datasets: given,
  dataset: DATASET_FOLDER.optional(),
  preparation: PREPARATION.default({}),
});

/** A program whose arguments may name what is being made. */
type StepProgram = Omit<Program, 'command'> & { readonly command: pulumi.Input<readonly string[]> };

/** What is done once at a site, by a person who starts a task: `aws ecs run-task`, as the stack's outputs spell it. */
export type BootstrapStep = 'prepare' | 'preflight';

/**
 * One-shot tasks, each with the rooms that it needs: bringing dataset, MMAR and model from the hospital's bucket to the workspace, and
 * the preflight from where the agent runs. Each may be repeated.
 */
export class WorkspaceBootstrap extends pulumi.ComponentResource {
  /** `aws ecs run-task ...` of each step. */
  public readonly commands: Readonly<Partial<Record<BootstrapStep, pulumi.Output<string>>>>;

  /** @throws DeploymentInputError on a broken argument or without an explicit aws provider */
  constructor(name: string, args: WorkspaceBootstrapArgs, opts?: pulumi.ComponentResourceOptions) {
    const what = `WorkspaceBootstrap ${name}`;
    const { preparation } = checked(what, ARGUMENTS, args);
    requireAwsProvider(what, opts);
    super('clara-federation:federation:WorkspaceBootstrap', name, {}, opts);
    this.commands = {
      ...(args.dataset !== undefined && {
        prepare: this.#step(name, 'prepare', this.#prepare(args.datasets, args.dataset, preparation), args),
      }),
      preflight: this.#step(name, 'preflight', preflightProgram(), args),
    };
    this.registerOutputs({ commands: this.commands });
  }

  /** The bucket is known when it is made. */
  #prepare({ bucketName }: DatasetBucket, dataset: string, preparation: Preparation): StepProgram {
    return {
      ...prepareProgram('', dataset, preparation),
      command: bucketName.apply((bucket) => prepareProgram(bucket, dataset, preparation).command),
    };
  }

  /** @returns the command that starts it */
  #step(
    name: string,
    step: BootstrapStep,
    program: StepProgram,
    { site, agent, datasets }: WorkspaceBootstrapArgs,
  ): pulumi.Output<string> {
    const writer = configurationWriter();
    const configure = {
      name: 'configure',
      image: site.images.agent,
      ...writer,
      environment: { ...writer.environment, [CONFIGURATION_VARIABLE]: agent.configuration },
      memory: 128,
      essential: false,
    };
    // The other has all that it needs in its arguments.
    const isConfigured = step === 'preflight';
    const task = containerTask(
      `${name}-${step}`,
      {
        family: `${stackPrefix(site)}-${step}`,
        launch: { kind: 'fargate', cpu: 2048, memory: 8192 },
        containers: [
          ...(isConfigured ? [configure] : []),
          { name: step, image: site.images.agent, ...program, memory: 7168, after: isConfigured ? ['configure'] : [] },
        ],
        volumes: roomVolumes(site, program),
        statements: pulumi
          .all([roomMount(site, program), datasets.bucketArn, datasets.keyArn, site.cluster.clusterArn])
          .apply(([mount, bucket, key, cluster]) => [
            mount,
            ...(step === 'prepare' ? readObjects('Datasets', bucket, key) : [lookAtCluster(cluster)]),
          ]),
        logDays: site.logDays,
        logKeyArn: site.operationsKeyArn,
      },
      { parent: this },
    );
    const network = pulumi.jsonStringify({
      awsvpcConfiguration: {
        subnets: Object.values(site.network.privateSubnets),
        securityGroups: [agent.securityGroupId, site.workspace.clientSecurityGroupId],
        assignPublicIp: 'DISABLED',
      },
    });
    return pulumi.interpolate`aws ecs run-task --cluster ${site.cluster.clusterName} --launch-type FARGATE --task-definition ${task.definition.family} --network-configuration '${network}'`;
  }
}
