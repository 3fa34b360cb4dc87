import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import * as aws from '../aws';
import {
  ANNOTATION_HEALTH,
  ANNOTATION_HEALTH_PATH,
  ANNOTATION_PORT,
  annotationProgram,
  CLARA_TRAIN_HEALTH_PATH,
  claraTrainProgram,
} from '../containers/annotation-program';
import { requireAwsProvider } from '../explicit-provider';
import { checked } from '../faults';
import { containerMemory, GPU_FAMILY_NAMES, type GpuFamilyName } from '../gpu/gpu-families';
import { CERTIFICATE_ARN, cidrBlock, given, HOST_NAME, HOSTED_ZONE_ID, onOff } from '../input-rules';
import { placeOf } from '../place';
import { NIGHT_HOURS, type NightHours } from '../setting-rules';
import { type SiteContext, stackPrefix } from '../site-context';
import { type ContainerTask, containerTask } from '../tasks/container-task';
import { replacedService } from '../tasks/replaced-service';
import { mountWorkspace, readSecret } from '../tasks/task-policies';
import { annotationFront } from './annotation-front';
import { exposureFaults } from './exposure';
import { nightSchedule } from './night-schedule';
import { type SecretPath, secretPath } from './secret-path';

export interface AnnotationServiceArgs {
  readonly site: SiteContext;
  /** Which server: the project's own, or NVIDIA's in its mirrored container. @default 'own' */
  readonly server?: 'own' | 'clara-train';
  /** `public` needs public subnets. @default 'internal' */
  readonly loadBalancer?: 'internal' | 'public';
  /** Addresses of the people who annotate; nobody else reaches the load balancer. */
  readonly clientCidrs: readonly string[];
  /** ACM certificate of {@link hostName}. Needed unless `insecureHttp`. */
  readonly certificateArn?: string;
  /** Name under which people open the service; without TLS the load balancer's own name will do. */
  readonly hostName?: string;
  /** Route 53 zone in which `hostName` is made to point at the load balancer. @default none: the hospital does it */
  readonly hostedZoneId?: string;
  /** Plain HTTP, for old clients. @default false */
  readonly insecureHttp?: boolean;
  /** The statement without which plain HTTP is refused. @default false */
  readonly dataAreDeidentified?: boolean;
  readonly gpuFamily: GpuFamilyName;
  /** Tasks, each with a GPU of its own; they share sessions and models. @default 1 */
  readonly tasks?: number;
  /** Nobody annotates at night. @default always on */
  readonly night?: NightHours;
}

const ARGUMENTS = z
  .strictObject({
    site: given,
    server: z.enum(['own', 'clara-train'], { error: 'must be own or clara-train' }).default('own'),
    loadBalancer: z.enum(['internal', 'public'], { error: 'must be internal or public' }).default('internal'),
    clientCidrs: z
      .array(cidrBlock(8, 32))
      .min(1, 'must name at least one range: without an allow-list nobody or everybody could come')
      .max(50),
    certificateArn: z.string().regex(CERTIFICATE_ARN, 'must be the ARN of an ACM certificate').optional(),
    hostName: z.string().regex(HOST_NAME, 'must be a host name').optional(),
    hostedZoneId: z.string().regex(HOSTED_ZONE_ID, 'must be the id of a Route 53 zone, Z...').optional(),
    insecureHttp: onOff.default(false),
    dataAreDeidentified: onOff.default(false),
    gpuFamily: z.enum(GPU_FAMILY_NAMES),
    tasks: z.number().int('must be a whole number of tasks').min(1, 'must be at least 1').max(10).default(1),
    night: NIGHT_HOURS.optional(),
  })
  .superRefine((args, context) => {
    for (const { path, rule } of exposureFaults(args))
      context.addIssue({ code: 'custom', path: [path], message: rule });
  });

/** The annotation server of a site behind its load balancer: what a radiologist's 3D Slicer talks to. */
export class AnnotationService extends pulumi.ComponentResource {
  /** As it is pasted into a browser or into Slicer: scheme, host, secret path. A secret where there is a secret path. */
  public readonly url: pulumi.Output<string>;
  public readonly serviceName: pulumi.Output<string>;
  public readonly loadBalancerSuffix: pulumi.Output<string>;
  public readonly targetGroupSuffix: pulumi.Output<string>;
  public readonly logGroupName: pulumi.Output<string>;

  /** @throws DeploymentInputError on a broken argument or without an explicit aws provider */
  constructor(name: string, args: AnnotationServiceArgs, opts?: pulumi.ComponentResourceOptions) {
    const what = `AnnotationService ${name}`;
    const parsed = checked(what, ARGUMENTS, args);
    requireAwsProvider(what, opts);
    super('clara-federation:annotation:AnnotationService', name, {}, opts);
    const child = { parent: this };
    const { site } = args;
    const { network, cluster } = site;

    const { loadBalancer, targets, listener, taskGroup } = annotationFront(
      name,
      {
        site,
        isPublic: parsed.loadBalancer === 'public',
        clientCidrs: parsed.clientCidrs,
        certificateArn: parsed.certificateArn,
        healthPath: parsed.server === 'own' ? ANNOTATION_HEALTH_PATH : CLARA_TRAIN_HEALTH_PATH,
      },
      child,
    );
    const prefix = parsed.server === 'own' ? secretPath(name, site, child) : undefined;
    const task = this.#task(name, args, parsed.server, prefix);
    const provider = cluster.capacityProviders[parsed.gpuFamily];
    if (provider === undefined) {
      throw new pulumi.RunError(`${what}: the cluster has no capacity of GPU family ${parsed.gpuFamily}`);
    }
    const service = replacedService(
      name,
      {
        cluster: cluster.clusterArn,
        taskDefinition: task.definition.arn,
        tasks: parsed.tasks,
        capacityProvider: provider,
        // An instance starts, the image of several GiB is fetched, the models are loaded.
        healthCheckGracePeriodSeconds: 1200,
        subnets: Object.values(network.privateSubnets),
        securityGroups: [taskGroup.id, site.workspace.clientSecurityGroupId],
        loadBalancers: [{ targetGroupArn: targets.arn, containerName: 'aiaa', containerPort: ANNOTATION_PORT }],
        orderedPlacementStrategies: [{ type: 'spread', field: 'attribute:ecs.availability-zone' }],
      },
      {
        ...child,
        dependsOn: [...cluster.ready, listener],
        ...(parsed.night && { ignoreChanges: ['desiredCount'] }),
      },
    );
    if (parsed.night) {
      nightSchedule(
        name,
        { clusterName: cluster.clusterName, serviceName: service.name, tasks: parsed.tasks, night: parsed.night },
        child,
      );
    }
    if (parsed.hostedZoneId !== undefined) {
      new aws.route53.Record(
        name,
        {
          zoneId: parsed.hostedZoneId,
          name: parsed.hostName!,
          type: 'A',
          aliases: [{ name: loadBalancer.dnsName, zoneId: loadBalancer.zoneId, evaluateTargetHealth: false }],
        },
        child,
      );
    }

    const host = parsed.hostName === undefined ? loadBalancer.dnsName : pulumi.output(parsed.hostName);
    this.url = pulumi.interpolate`${parsed.insecureHttp ? 'http' : 'https'}://${host}${prefix?.path ?? ''}/`;
    this.serviceName = service.name;
    this.loadBalancerSuffix = loadBalancer.arnSuffix;
    this.targetGroupSuffix = targets.arnSuffix;
    this.logGroupName = task.log.name;
    this.registerOutputs({ url: this.url, serviceName: this.serviceName });
  }

  #task(
    name: string,
    { site, gpuFamily }: AnnotationServiceArgs,
    server: 'own' | 'clara-train',
    prefix: SecretPath | undefined,
  ): ContainerTask {
    const { workspace, network } = site;
    const program =
      prefix === undefined
        ? claraTrainProgram()
        : {
            ...annotationProgram('', network.cidr),
            // The secret is known when it is made.
            command: prefix.secretArn.apply((arn) => annotationProgram(arn, network.cidr).command),
          };
    const mayRead =
      prefix === undefined
        ? []
        : pulumi
            .all([prefix.secretArn, site.operationsKeyArn, placeOf(this).region])
            .apply(([secret, key, region]) => readSecret(secret, key, region));
    return containerTask(
      name,
      {
        family: `${stackPrefix(site)}-aiaa`,
        launch: { kind: 'instances' },
        containers: [
          {
            name: 'aiaa',
            image: site.images.aiaa,
            ...program,
            memory: containerMemory(gpuFamily),
            gpus: 1,
            ...(server === 'own' && { healthCheck: ANNOTATION_HEALTH }),
            stopTimeout: 120,
            // NVIDIA's server writes all over its image.
            readonlyRootFilesystem: false,
          },
        ],
        volumes: {
          workspace: { fileSystemId: workspace.fileSystemId, accessPointId: workspace.accessPointIds.aiaa },
          scratch: 'scratch',
        },
        statements: pulumi
          .all([workspace.fileSystemArn, workspace.accessPointArns.aiaa, mayRead])
          .apply(([fileSystem, room, own]) => [mountWorkspace(fileSystem, [room]), ...own]),
        logDays: site.logDays,
        logKeyArn: site.operationsKeyArn,
      },
      { parent: this },
    );
  }
}
