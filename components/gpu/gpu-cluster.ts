import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import * as aws from '../aws';
import { requireAwsProvider } from '../explicit-provider';
import { checked } from '../faults';
import { given } from '../input-rules';
import type { SiteNetwork } from '../network/site-network';
import { securityGroup } from '../network/task-security-group';
import { MADE_ROLE_PATH } from '../organization/made-roles';
import { placeOf } from '../place';
import { allow, type Statement } from '../policy-document';
import { shellChannel } from '../tasks/task-policies';
import { serviceRole } from '../tasks/task-role';
import { GPU_FAMILY_NAMES, type GpuFamilyName, gpuFamily } from './gpu-families';
import { nodeUserData } from './user-data';

export interface GpuClusterArgs {
  readonly network: SiteNetwork;
  /** The most instances of each family; families that are not named cannot be used. None runs while no task needs it. */
  readonly families: Readonly<Partial<Record<GpuFamilyName, number>>>;
  /** GiB of the root disk of an instance: images of several GiB are unpacked there. @default 200 */
  readonly diskGib?: number;
  /** KMS key of the disks; the Auto Scaling service must be able to use it, so its grant is made here. */
  readonly diskKey: aws.kms.Key;
}

const ARGUMENTS = z.strictObject({
  network: given,
  families: z
    .partialRecord(
      z.enum(GPU_FAMILY_NAMES, { error: `must be one of ${GPU_FAMILY_NAMES.join(', ')}` }),
      z.number().int('must be a whole number of instances').min(1, 'must be at least 1 instance').max(50),
    )
    .refine((families) => Object.keys(families).length > 0, 'must name at least one GPU family'),
  diskGib: z.number().int().min(100, 'must be at least 100 GiB, for the images').max(16_000).default(200),
  diskKey: given,
});

/**
 * An ECS cluster whose GPU instances come when a task needs one and go about 15 minutes after the last: one Auto Scaling group
 * and one capacity provider a family, because ECS counts GPUs and not their memory. Fargate is there for everything else.
 *
 * Instances that run a task are protected from scale-in, so the group can only be destroyed after the services are gone:
 * whatever runs here must depend on {@link ready}.
 */
export class GpuCluster extends pulumi.ComponentResource {
  public readonly clusterArn: pulumi.Output<string>;
  public readonly clusterName: pulumi.Output<string>;
  /** Name of the capacity provider of each family. */
  public readonly capacityProviders: Readonly<Partial<Record<GpuFamilyName, pulumi.Output<string>>>>;
  /** What every service and task definition of the cluster must depend on, so that it is destroyed before the capacity. */
  public readonly ready: readonly pulumi.Resource[];

  /** @throws DeploymentInputError on a broken argument or without an explicit aws provider */
  constructor(name: string, args: GpuClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    const what = `GpuCluster ${name}`;
    const { families, diskGib } = checked(what, ARGUMENTS, args);
    requireAwsProvider(what, opts);
    super('clara-federation:compute:GpuCluster', name, {}, opts);
    const child = { parent: this };
    const { network, diskKey } = args;

    const cluster = new aws.ecs.Cluster(name, { settings: [{ name: 'containerInsights', value: 'enabled' }] }, child);
    const profile = this.#nodeProfile(name, cluster.arn);
    const group = securityGroup(
      `${name}-nodes`,
      { vpcId: network.vpcId, description: `GPU instances of ${name}`, egress: network.awsApis },
      child,
    );
    const sorted = (Object.entries(families) as [GpuFamilyName, number][]).sort(byName);
    const scaled = sorted.map(([family, most]) => {
      const node = { name: `${name}-${family}`, family, most, diskGib, groupId: group.id, profileArn: profile.arn };
      return [family, this.#scalingGroup(node, args, cluster)] as const;
    });
    // After the groups, which start nothing by themselves: the first group of an account makes the role that is granted the key.
    const grant = this.#diskGrant(
      name,
      diskKey,
      scaled.map(([, scaling]) => scaling),
    );
    const providers = scaled.map(([family, scaling]) => {
      return [family, this.#capacityProvider(`${name}-${family}`, scaling, grant)] as const;
    });
    const association = new aws.ecs.ClusterCapacityProviders(
      name,
      {
        clusterName: cluster.name,
        capacityProviders: [...providers.map(([, { name: providerName }]) => providerName), 'FARGATE'],
        defaultCapacityProviderStrategies: [{ capacityProvider: 'FARGATE', weight: 1, base: 0 }],
      },
      child,
    );

    this.clusterArn = cluster.arn;
    this.clusterName = cluster.name;
    this.capacityProviders = Object.fromEntries(providers.map(([family, provider]) => [family, provider.name]));
    this.ready = [association];
    this.registerOutputs({
      clusterArn: this.clusterArn,
      clusterName: this.clusterName,
      capacityProviders: this.capacityProviders,
    });
  }

  /** Launch template and Auto Scaling group of one family. */
  #scalingGroup(node: NodeOptions, { network, diskKey }: GpuClusterArgs, cluster: aws.ecs.Cluster) {
    const child = { parent: this };
    const { legacy, imageParameter, instanceType } = gpuFamily(node.family);
    if (legacy !== undefined) void pulumi.log.warn(`GPU family ${node.family}: ${legacy}`, this);
    const template = new aws.ec2.LaunchTemplate(
      node.name,
      {
        // EC2 looks the image up at each launch, so new instances have the newest one and no plan changes for it.
        imageId: `resolve:ssm:${imageParameter}`,
        instanceType,
        updateDefaultVersion: true,
        userData: cluster.name.apply((clusterName) => base64(nodeUserData({ clusterName }))),
        iamInstanceProfile: { arn: node.profileArn },
        vpcSecurityGroupIds: [node.groupId],
        metadataOptions: { httpEndpoint: 'enabled', httpTokens: 'required', httpPutResponseHopLimit: 1 },
        monitoring: { enabled: true },
        blockDeviceMappings: [
          {
            deviceName: '/dev/xvda',
            ebs: {
              volumeSize: node.diskGib,
              volumeType: 'gp3',
              encrypted: 'true',
              kmsKeyId: diskKey.arn,
              deleteOnTermination: 'true',
            },
          },
        ],
        tagSpecifications: ['instance', 'volume'].map((resourceType) => ({
          resourceType,
          tags: { Name: node.name, Project: 'clara-federation' },
        })),
      },
      child,
    );
    return new aws.autoscaling.Group(
      node.name,
      {
        minSize: 0,
        maxSize: node.most,
        vpcZoneIdentifiers: Object.values(network.privateSubnets),
        launchTemplate: { id: template.id, version: '$Latest' },
        protectFromScaleIn: true,
        // A destroyed stack has no services any more; what is left are instances that wait for their 15 minutes.
        forceDelete: true,
        healthCheckType: 'EC2',
        maxInstanceLifetime: 14 * 86_400,
        tags: [
          { key: 'AmazonECSManaged', value: 'true', propagateAtLaunch: true },
          { key: 'Name', value: node.name, propagateAtLaunch: true },
        ],
      },
      // ECS decides how many there are.
      { ...child, ignoreChanges: ['desiredCapacity'] },
    );
  }

  #diskGrant(name: string, diskKey: aws.kms.Key, groups: readonly aws.autoscaling.Group[]): aws.kms.Grant {
    return new aws.kms.Grant(
      `${name}-disks`,
      {
        keyId: diskKey.keyId,
        granteePrincipal: scalingServiceRole(this),
        operations: [
          'Encrypt',
          'Decrypt',
          'ReEncryptFrom',
          'ReEncryptTo',
          'GenerateDataKey',
          'GenerateDataKeyWithoutPlaintext',
          'DescribeKey',
          'CreateGrant',
        ],
      },
      { parent: this, dependsOn: [...groups] },
    );
  }

  #capacityProvider(name: string, scaling: aws.autoscaling.Group, grant: aws.kms.Grant): aws.ecs.CapacityProvider {
    return new aws.ecs.CapacityProvider(
      name,
      {
        autoScalingGroupProvider: {
          autoScalingGroupArn: scaling.arn,
          managedTerminationProtection: 'ENABLED',
          managedDraining: 'ENABLED',
          managedScaling: {
            status: 'ENABLED',
            targetCapacity: 100,
            minimumScalingStepSize: 1,
            maximumScalingStepSize: 1,
            instanceWarmupPeriod: 300,
          },
        },
      },
      { parent: this, dependsOn: [grant] },
    );
  }

  #nodeProfile(name: string, clusterArn: pulumi.Output<string>): aws.iam.InstanceProfile {
    const child = { parent: this };
    const role = serviceRole(
      `${name}-node`,
      { service: 'ec2.amazonaws.com', statements: clusterArn.apply(nodeStatements) },
      child,
    );
    return new aws.iam.InstanceProfile(`${name}-node`, { path: MADE_ROLE_PATH, role: role.name }, child);
  }
}

interface NodeOptions {
  readonly name: string;
  readonly family: GpuFamilyName;
  /** Instances. */
  readonly most: number;
  readonly diskGib: number;
  readonly groupId: pulumi.Output<string>;
  readonly profileArn: pulumi.Output<string>;
}

/**
 * What the ECS agent on an instance does (ECS developer guide, "Amazon ECS container instance IAM role"), narrowed to one
 * cluster where the API allows it, and the channel of Session Manager. Images are pulled with the tasks' own roles.
 */
export function nodeStatements(clusterArn: string): Statement[] {
  const instances = clusterArn.replace(':cluster/', ':container-instance/');
  return [
    allow('AgentOfTheNode', ['ecs:DiscoverPollEndpoint', 'ssm:UpdateInstanceInformation'], '*'),
    allow('JoinCluster', ['ecs:RegisterContainerInstance', 'ecs:DeregisterContainerInstance'], clusterArn),
    allow(
      'ReportTasks',
      [
        'ecs:Poll',
        'ecs:StartTelemetrySession',
        'ecs:UpdateContainerInstancesState',
        'ecs:SubmitAttachmentStateChanges',
        'ecs:SubmitContainerStateChange',
        'ecs:SubmitTaskStateChange',
      ],
      [clusterArn, `${instances}/*`],
    ),
    shellChannel(),
  ];
}

/** The role with which Auto Scaling starts instances; it must be granted a key that is not AWS's own. */
function scalingServiceRole(parent: pulumi.Resource): pulumi.Output<string> {
  const { partition, accountId } = placeOf(parent);
  return pulumi.interpolate`arn:${partition}:iam::${accountId}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling`;
}

function byName([a]: readonly [string, number], [b]: readonly [string, number]): number {
  return a < b ? -1 : 1;
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
