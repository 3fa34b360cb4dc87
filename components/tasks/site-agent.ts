import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import * as aws from '../aws';
import { coordinatorAddresses } from '../containers/coordinator-program';
import { type Program, SERVICE_HEALTH } from '../containers/program';
import { agentConfiguration } from '../containers/site-configuration';
import { agentProgram, CONFIGURATION_VARIABLE, configurationWriter, mmarFolder } from '../containers/site-programs';
import { requireAwsProvider } from '../explicit-provider';
import { checked } from '../faults';
import type { FederationLink } from '../federation/federation-link';
import { given, HOST_NAME } from '../input-rules';
import { securityGroup } from '../network/task-security-group';
import { logGroup } from '../operations/log-group';
import { placeOf } from '../place';
import { allow } from '../policy-document';
import { AGENT_SETTINGS, DATASET_FOLDER, type Trainer } from '../setting-rules';
import { type SiteContext, stackPrefix } from '../site-context';
import { containerTask, type TaskContainer, type TaskVolume } from './container-task';
import { collectorStatements, metricsCollector } from './metrics-collector';
import { replacedService } from './replaced-service';
import { mountWorkspace, readSecret, runTasks } from './task-policies';
import { TRAINER_CONTAINER, type TrainingTasks } from './training-tasks';

export interface SiteAgentArgs {
  readonly site: SiteContext;
  readonly link: FederationLink;
  readonly training: TrainingTasks;
  /** The trainer of `training` that the agent uses. */
  readonly trainer: Trainer;
  readonly coordinatorHost: string;
  /** Folder of the Decathlon dataset in the training room. @default the trainer finds its data by itself */
  readonly dataset?: string;
  /** `limits`, `policy`, `statistics` of docs/site-configuration.md, which are the hospital's own. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

const ARGUMENTS = z.strictObject({
  site: given,
  link: given,
  training: given,
  trainer: given,
  coordinatorHost: z.string().regex(HOST_NAME, 'must be a host name'),
  dataset: DATASET_FOLDER.optional(),
  settings: AGENT_SETTINGS.default({}),
});

/** Rooms of the workspace, by the names that programs give their volumes. */
const ROOM_OF = { agent: 'agent', training: 'training', annotation: 'aiaa' } as const;

function roomsOf({ mounts }: Pick<Program, 'mounts'>): (keyof typeof ROOM_OF)[] {
  return (Object.keys(ROOM_OF) as (keyof typeof ROOM_OF)[]).filter((volume) => volume in mounts);
}

/** The rooms that a program of the site enters, and a folder for what it keeps in between. */
export function roomVolumes(
  { workspace: { fileSystemId, accessPointIds } }: SiteContext,
  program: Pick<Program, 'mounts'>,
): Readonly<Record<string, TaskVolume>> {
  const rooms = roomsOf(program).map((volume) => {
    return [volume, { fileSystemId, accessPointId: accessPointIds[ROOM_OF[volume]] }] as const;
  });
  return { ...Object.fromEntries(rooms), scratch: 'scratch' };
}

/** The right to mount them, and no others. */
export function roomMount({ workspace }: SiteContext, program: Pick<Program, 'mounts'>) {
  const arns = roomsOf(program).map((volume) => workspace.accessPointArns[ROOM_OF[volume]]);
  return pulumi
    .all([workspace.fileSystemArn, ...arns])
    .apply(([fileSystem, ...rooms]) => mountWorkspace(fileSystem, rooms));
}

/**
 * The hospital's agent: one Fargate task that dials the coordinator and starts the training tasks of its own site, and nothing
 * else. It is healthy before anybody has invited the site: it waits for an invitation in a secret, and enrols itself. Its key is
 * made in its room of the workspace, encrypted with the site's KMS key, and never leaves.
 */
export class SiteAgent extends pulumi.ComponentResource {
  public readonly serviceName: pulumi.Output<string>;
  public readonly securityGroupId: pulumi.Output<string>;
  public readonly logGroupName: pulumi.Output<string>;
  /** Secrets Manager secret that the one-time invitation goes into. */
  public readonly invitationSecretArn: pulumi.Output<string>;
  /** The JSON of `site.yaml`, for one-shot tasks that need the same. */
  public readonly configuration: pulumi.Output<string>;

  /** @throws DeploymentInputError on a broken argument or without an explicit aws provider */
  constructor(name: string, args: SiteAgentArgs, opts?: pulumi.ComponentResourceOptions) {
    const what = `SiteAgent ${name}`;
    const { coordinatorHost, dataset, settings } = checked(what, ARGUMENTS, args);
    requireAwsProvider(what, opts);
    super('clara-federation:federation:SiteAgent', name, {}, opts);
    const child = { parent: this };
    const { site, link, training } = args;
    const { network, cluster } = site;
    const { region } = placeOf(this);

    const group = securityGroup(
      name,
      {
        vpcId: network.vpcId,
        description: `Agent of ${stackPrefix(site)}`,
        egress: [...network.awsApis, ...link.egress],
      },
      child,
    );
    this.configuration = pulumi.jsonStringify(
      pulumi.all([this.#trainer(args), region]).apply(([trainer]) =>
        agentConfiguration({
          siteId: site.siteId,
          coordinators: coordinatorAddresses(coordinatorHost),
          trainer,
          ...(dataset !== undefined && { dataset }),
          settings,
        }),
      ),
    );
    const figures = logGroup(`${name}-figures`, { retentionDays: site.logDays, keyArn: site.operationsKeyArn }, child);
    const invitation = new aws.secretsmanager.Secret(
      `${name}-invitation`,
      {
        description: `One-time invitation of ${stackPrefix(site)}; the hospital puts it in, it is worthless once used`,
        kmsKeyId: site.operationsKeyArn,
        recoveryWindowInDays: 7,
      },
      child,
    );
    const writer = configurationWriter();
    const program = agentProgram('');
    const containers: readonly TaskContainer[] = [
      {
        name: 'configure',
        image: site.images.agent,
        ...writer,
        environment: { ...writer.environment, [CONFIGURATION_VARIABLE]: this.configuration },
        memory: 128,
        essential: false,
      },
      {
        name: 'agent',
        image: site.images.agent,
        ...program,
        // The secret is known when it is made.
        command: invitation.arn.apply((arn) => agentProgram(arn).command),
        memory: 3072,
        after: ['configure'],
        healthCheck: SERVICE_HEALTH,
        // It waits for a trainer to end before it ends itself; Fargate allows no more.
        stopTimeout: 120,
        readonlyRootFilesystem: false,
      },
      metricsCollector(site.images.collector, stackPrefix(site), figures.name, region),
    ];
    const task = containerTask(
      name,
      {
        family: `${stackPrefix(site)}-agent`,
        launch: { kind: 'fargate', cpu: 1024, memory: 4096 },
        containers,
        volumes: roomVolumes(site, program),
        statements: pulumi
          .all([
            cluster.clusterArn,
            training.roleArns,
            roomMount(site, program),
            figures.arn,
            training.logGroupArns,
            pulumi.all([invitation.arn, site.operationsKeyArn, region]),
          ])
          .apply(([clusterArn, roleArns, mount, figuresArn, trainerLogs, [secret, key, area]]) => [
            mount,
            ...readSecret(secret, key, area),
            ...runTasks(clusterArn, Object.values(training.families), roleArns),
            allow(
              'ReadTrainerLog',
              'logs:GetLogEvents',
              trainerLogs.map((arn) => `${arn}:log-stream:*`),
            ),
            ...collectorStatements(figuresArn),
          ]),
        logDays: site.logDays,
        logKeyArn: site.operationsKeyArn,
      },
      child,
    );
    const service = replacedService(
      name,
      {
        cluster: cluster.clusterArn,
        taskDefinition: task.definition.arn,
        subnets: Object.values(network.privateSubnets),
        securityGroups: [group.id, site.workspace.clientSecurityGroupId],
      },
      { ...child, dependsOn: [...cluster.ready, link] },
    );

    this.serviceName = service.name;
    this.securityGroupId = group.id;
    this.logGroupName = task.log.name;
    this.invitationSecretArn = invitation.arn;
    this.registerOutputs({
      serviceName: this.serviceName,
      securityGroupId: this.securityGroupId,
      invitationSecretArn: this.invitationSecretArn,
    });
  }

  /** The part `trainer` of the site's configuration: a task of the cluster, on an instance of the trainer's GPU family. */
  #trainer({ site, training, trainer }: SiteAgentArgs) {
    const { cluster, network, workspace } = site;
    const { region } = placeOf(this);
    const { mmar } = trainer;
    const program =
      mmar === undefined
        ? {
            adapter: 'ecs-task',
            command: [...(trainer.command ?? [])],
            ...(trainer.supports !== undefined && { supports: [...trainer.supports] }),
          }
        : { adapter: 'mmar', mmar: { ...mmar, folder: mmarFolder(mmar.folder) } };
    return pulumi.output({
      name: trainer.name,
      ...program,
      ecs: {
        cluster: cluster.clusterName,
        taskDefinition: training.families[trainer.name],
        container: TRAINER_CONTAINER,
        capacityProvider: cluster.capacityProviders[trainer.gpuFamily]!,
        network: {
          subnets: Object.values(network.privateSubnets),
          securityGroups: [training.securityGroupId, workspace.clientSecurityGroupId],
        },
        logs: { group: training.logGroupNames[trainer.name], streamPrefix: TRAINER_CONTAINER },
        region,
      },
    });
  }
}
