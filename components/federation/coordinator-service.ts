import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import * as aws from '../aws';
import {
  COORDINATOR_NAMES,
  COORDINATORS,
  type CoordinatorName,
  coordinatorProgram,
} from '../containers/coordinator-program';
import { IMAGE, IMAGE_RULE } from '../containers/image';
import { SERVICE_HEALTH } from '../containers/program';
import { requireAwsProvider } from '../explicit-provider';
import { checked } from '../faults';
import { given } from '../input-rules';
import type { SiteNetwork } from '../network/site-network';
import { type SecurityRule, securityGroup } from '../network/task-security-group';
import { logGroup } from '../operations/log-group';
import { placeOf } from '../place';
import { containerTask } from '../tasks/container-task';
import { collectorStatements, metricsCollector } from '../tasks/metrics-collector';
import { replacedService } from '../tasks/replaced-service';
import type { CoordinatorEntrance } from './coordinator-entrance';
import type { CoordinatorSecrets } from './coordinator-secrets';
import { type FederationStore, storeStatements } from './federation-store';

export interface CoordinatorServiceArgs {
  readonly environment: string;
  readonly federation: string;
  readonly hostName: string;
  readonly network: SiteNetwork;
  readonly entrance: CoordinatorEntrance;
  readonly store: FederationStore;
  readonly secrets: CoordinatorSecrets;
  readonly images: { readonly coordinator: string; readonly collector: string };
  readonly logDays: number;
  readonly logKeyArn: pulumi.Input<string>;
}

const ARGUMENTS = z.looseObject({
  environment: z.string(),
  federation: z.string(),
  hostName: z.string(),
  network: given,
  images: z.strictObject({
    coordinator: z.string().regex(IMAGE, IMAGE_RULE),
    collector: z.string().regex(IMAGE, IMAGE_RULE),
  }),
});

/**
 * Two coordinators in two zones on one store: one leads, the other stands by. Two services of one task each, and not one service of
 * two: each coordinator has ports of its own, and an update replaces the second one only when the first is up again, so that one of
 * them always leads. Neither keeps anything: what is to stay lies in the store and in the secrets.
 */
export class CoordinatorService extends pulumi.ComponentResource {
  public readonly clusterName: pulumi.Output<string>;
  public readonly serviceNames: Readonly<Record<CoordinatorName, pulumi.Output<string>>>;

  /** @throws DeploymentInputError on a broken argument or without an explicit aws provider */
  constructor(name: string, args: CoordinatorServiceArgs, opts?: pulumi.ComponentResourceOptions) {
    const what = `CoordinatorService ${name}`;
    checked(what, ARGUMENTS, args);
    requireAwsProvider(what, opts);
    super('clara-federation:federation:CoordinatorService', name, {}, opts);
    const child = { parent: this };
    const cluster = new aws.ecs.Cluster(name, { settings: [{ name: 'containerInsights', value: 'enabled' }] }, child);
    const capacity = new aws.ecs.ClusterCapacityProviders(
      name,
      { clusterName: cluster.name, capacityProviders: ['FARGATE'] },
      child,
    );
    const figures = logGroup(`${name}-figures`, { retentionDays: args.logDays, keyArn: args.logKeyArn }, child);

    let before: aws.ecs.Service | undefined;
    const services = COORDINATOR_NAMES.map((coordinator, index) => {
      const group = this.#securityGroup(`${name}-${coordinator}`, coordinator, args);
      const task = this.#task(`${name}-${coordinator}`, coordinator, args, figures);
      const service: aws.ecs.Service = replacedService(
        `${name}-${coordinator}`,
        {
          cluster: cluster.arn,
          taskDefinition: task.definition.arn,
          // Replaying journals comes before answering.
          healthCheckGracePeriodSeconds: 300,
          waitForSteadyState: true,
          // Its own zone: the other coordinator is in another one.
          subnets: [Object.values(args.network.privateSubnets)[index]],
          securityGroups: [group.id],
          loadBalancers: args.entrance.targets[coordinator].map(({ port, arn }) => ({
            targetGroupArn: arn,
            containerName: 'coordinator',
            containerPort: port,
          })),
        },
        {
          ...child,
          dependsOn: [capacity, ...args.entrance.listeners, ...(before === undefined ? [] : [before])],
        },
      );
      before = service;
      return [coordinator, service.name] as const;
    });
    this.clusterName = cluster.name;
    this.serviceNames = Object.fromEntries(services) as Record<CoordinatorName, pulumi.Output<string>>;
    this.registerOutputs({ clusterName: this.clusterName, serviceNames: this.serviceNames });
  }

  #securityGroup(name: string, coordinator: CoordinatorName, { network, entrance }: CoordinatorServiceArgs) {
    const ingress = Object.values(COORDINATORS[coordinator]).map(
      (port): SecurityRule => ({
        name: `from-entrance-${port}`,
        description: 'Sites and operators',
        port,
        peer: { group: entrance.securityGroupId },
      }),
    );
    return securityGroup(
      name,
      { vpcId: network.vpcId, description: `Coordinator ${coordinator}`, ingress, egress: network.awsApis },
      { parent: this },
    );
  }

  #task(name: string, coordinator: CoordinatorName, args: CoordinatorServiceArgs, figures: aws.cloudwatch.LogGroup) {
    const { environment, federation, hostName, store, secrets, images, logDays, logKeyArn } = args;
    const { region } = placeOf(this);
    const program = pulumi
      .all([store.bucketName, store.keyArn, secrets.authorityArn, secrets.operatorArn])
      .apply(([bucket, storeKeyArn, authoritySecretArn, operatorSecretArn]) =>
        coordinatorProgram({
          name: coordinator,
          federation,
          hostNames: [hostName],
          store: `s3://${bucket}/coordinator`,
          storeKeyArn,
          authoritySecretArn,
          operatorSecretArn,
        }),
      );
    return containerTask(
      name,
      {
        family: `${environment}-coordinator-${coordinator}`,
        launch: { kind: 'fargate', cpu: 4096, memory: 16_384 },
        containers: [
          {
            name: 'coordinator',
            image: images.coordinator,
            // The command names the bucket and the secrets, which are known when they are made.
            command: program.command,
            environment: program.environment,
            ports: Object.values(COORDINATORS[coordinator]),
            mounts: { scratch: '/tmp' },
            memory: 14_336,
            healthCheck: SERVICE_HEALTH,
            readonlyRootFilesystem: false,
            stopTimeout: 120,
          },
          metricsCollector(images.collector, environment, figures.name, region),
        ],
        volumes: { scratch: 'scratch' },
        statements: pulumi
          .all([store.bucketArn, store.keyArn, secrets.statements(region), figures.arn])
          .apply(([bucket, key, ofSecrets, figuresArn]) => [
            ...storeStatements(bucket, key),
            ...ofSecrets,
            ...collectorStatements(figuresArn),
          ]),
        logDays,
        logKeyArn,
      },
      { parent: this },
    );
  }
}
