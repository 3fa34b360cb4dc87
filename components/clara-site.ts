import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import { AnnotationService, type AnnotationServiceArgs } from './annotation/annotation-service';
import { SITE_IMAGES, type SiteImage } from './containers/image';
import { dataKey } from './data-key';
import { DatasetBucket, type DatasetBucketArgs } from './dataset-bucket';
import { requireAwsProvider } from './explicit-provider';
import { checked } from './faults';
import { FederationLink, type FederationLinkArgs } from './federation/federation-link';
import { GpuCluster, type GpuClusterArgs } from './gpu/gpu-cluster';
import { given } from './input-rules';
import { Bastion } from './network/bastion';
import { type ExistingNetworkArgs, type NewNetworkArgs, SiteNetwork } from './network/site-network';
import { SiteOperations, type SiteOperationsArgs } from './operations/site-operations';
import { LOG_RETENTION_DAYS, type Preparation, type Trainer } from './setting-rules';
import type { SiteContext } from './site-context';
import { SiteAgent, type SiteAgentArgs } from './tasks/site-agent';
import { TrainingTasks } from './tasks/training-tasks';
import { WorkspaceBootstrap } from './tasks/workspace-bootstrap';
import { WorkspaceFileSystem, type WorkspaceFileSystemArgs } from './workspace-file-system';

export interface ClaraSiteArgs {
  readonly environment: string;
  readonly siteId: string;
  readonly network: Omit<NewNetworkArgs, 'needs' | 'flowLogDays' | 'logKeyArn'> | ExistingNetworkArgs;
  readonly datasets: DatasetBucketArgs;
  readonly workspace: Pick<WorkspaceFileSystemArgs, 'retainOnDelete' | 'backup'>;
  readonly gpu: Pick<GpuClusterArgs, 'families' | 'diskGib'>;
  readonly annotation: Omit<AnnotationServiceArgs, 'site'>;
  /** The first one is the trainer of the agent. */
  readonly trainers: readonly Trainer[];
  readonly federation: Pick<FederationLinkArgs, 'coordinatorHost' | 'via'>;
  readonly agent: Pick<SiteAgentArgs, 'dataset' | 'settings'>;
  /** How the bootstrap task fills the workspace. @default the dataset's archive as it is */
  readonly preparation?: Preparation;
  readonly operations: Pick<SiteOperationsArgs, 'alarmEmail' | 'monthlyBudgetUsd' | 'workspaceAlarmGib'>;
  /** Image references by digest. */
  readonly images: Readonly<Record<SiteImage, string>>;
  /** Days for which logs are kept. */
  readonly logDays: number;
  /** A small machine for shells inside the network. @default false */
  readonly bastion?: boolean;
}

/** What concerns several parts; the rest is checked by the parts. */
const ARGUMENTS = z.looseObject({
  environment: z.string(),
  siteId: z.string(),
  images: z.record(z.enum(SITE_IMAGES), z.string()),
  trainers: z.array(given).min(1, 'must name at least one trainer'),
  logDays: z.literal([...LOG_RETENTION_DAYS], {
    error: `must be a retention of CloudWatch Logs: ${LOG_RETENTION_DAYS.join(', ')} days`,
  }),
});

/**
 * One hospital's site, the same for every hospital: network, workspace, datasets, GPU capacity, annotation server, training tasks,
 * the agent with its one way to the coordinator, and what watches over all of it.
 */
export class ClaraSite extends pulumi.ComponentResource {
  public readonly network: SiteNetwork;
  public readonly datasets: DatasetBucket;
  public readonly workspace: WorkspaceFileSystem;
  public readonly cluster: GpuCluster;
  public readonly annotation: AnnotationService;
  public readonly training: TrainingTasks;
  public readonly agent: SiteAgent;
  public readonly bootstrap: WorkspaceBootstrap;
  public readonly operations: SiteOperations;
  public readonly bastion: Bastion | undefined;

  /** @throws DeploymentInputError on a broken argument or without an explicit aws provider */
  constructor(name: string, args: ClaraSiteArgs, opts?: pulumi.ComponentResourceOptions) {
    const what = `ClaraSite ${name}`;
    checked(what, ARGUMENTS, args);
    requireAwsProvider(what, opts);
    super('clara-federation:site:ClaraSite', name, {}, opts);
    const child = { parent: this };
    // Both existed at the top of the stack before there was a site component: without the alias they would be made anew.
    const moved = { parent: this, aliases: [{ parent: pulumi.rootStackResource }] };
    const { environment, siteId, images, logDays } = args;

    const operationsKey = dataKey(`${name}-operations-key`, {
      description: `Logs, secrets and alarms of ${name}`,
      users: ['logs', 'alarms'],
      retainOnDelete: false,
      parent: this,
    });
    const diskKey = dataKey(`${name}-disk-key`, {
      description: `Disks of instances of ${name}`,
      retainOnDelete: false,
      parent: this,
    });
    this.network = new SiteNetwork(
      `${name}-network`,
      'existing' in args.network
        ? args.network
        : {
            ...args.network,
            needs: {
              fargate: true,
              instances: true,
              shell: true,
              startsTasks: true,
              bastion: args.bastion ?? false,
            },
            flowLogDays: logDays,
            logKeyArn: operationsKey.arn,
          },
      child,
    );
    this.datasets = new DatasetBucket(`${name}-datasets`, args.datasets, moved);
    this.workspace = new WorkspaceFileSystem(
      `${name}-workspace`,
      { vpcId: this.network.vpcId, subnets: this.network.privateSubnets, ...args.workspace },
      moved,
    );
    this.cluster = new GpuCluster(`${name}-gpu`, { network: this.network, ...args.gpu, diskKey }, child);
    const site: SiteContext = {
      environment,
      siteId,
      network: this.network,
      cluster: this.cluster,
      workspace: this.workspace,
      images,
      logDays,
      operationsKeyArn: operationsKey.arn,
    };
    this.annotation = new AnnotationService(`${name}-annotation`, { site, ...args.annotation }, child);
    this.training = new TrainingTasks(`${name}-training`, { site, trainers: args.trainers }, child);
    const { coordinatorHost } = args.federation;
    const link = new FederationLink(`${name}-link`, { network: this.network, ...args.federation }, child);
    this.agent = new SiteAgent(
      `${name}-agent`,
      { site, link, training: this.training, trainer: args.trainers[0], coordinatorHost, ...args.agent },
      child,
    );
    this.bootstrap = new WorkspaceBootstrap(
      `${name}-bootstrap`,
      { site, agent: this.agent, datasets: this.datasets, dataset: args.agent.dataset, preparation: args.preparation },
      child,
    );
    this.operations = new SiteOperations(
      `${name}-watch`,
      { site, annotation: this.annotation, agent: this.agent, ...args.operations },
      child,
    );
    this.bastion = args.bastion ? new Bastion(`${name}-bastion`, { site, diskKeyArn: diskKey.arn }, child) : undefined;
    this.registerOutputs({ vpcId: this.network.vpcId, clusterName: this.cluster.clusterName });
  }
}
