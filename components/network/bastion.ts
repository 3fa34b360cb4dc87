import * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';
import { requireAwsProvider } from '../explicit-provider';
import { MADE_ROLE_PATH } from '../organization/made-roles';
import { allow } from '../policy-document';
import type { SiteContext } from '../site-context';
import { shellChannel } from '../tasks/task-policies';
import { serviceRole } from '../tasks/task-role';
import { securityGroup } from './task-security-group';

const IMAGE_PARAMETER = '/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64';

export interface BastionArgs {
  readonly site: SiteContext;
  /** KMS key of its disk. */
  readonly diskKeyArn: pulumi.Input<string>;
}

/**
 * A small machine inside the site's network, for those who want one: no public address, no port 22, no key pair; a shell comes by
 * Session Manager. It may reach the workspace's mount targets, and has no right to mount anything.
 */
export class Bastion extends pulumi.ComponentResource {
  public readonly instanceId: pulumi.Output<string>;

  /** @throws DeploymentInputError without an explicit aws provider */
  constructor(name: string, { site, diskKeyArn }: BastionArgs, opts?: pulumi.ComponentResourceOptions) {
    requireAwsProvider(`Bastion ${name}`, opts);
    super('clara-federation:network:Bastion', name, {}, opts);
    const child = { parent: this };
    const { network, workspace } = site;
    const group = securityGroup(
      name,
      { vpcId: network.vpcId, description: `Bastion ${name}`, egress: network.awsApis },
      child,
    );
    const role = serviceRole(
      name,
      {
        service: 'ec2.amazonaws.com',
        statements: [shellChannel(), allow('AgentOfTheNode', 'ssm:UpdateInstanceInformation', '*')],
      },
      child,
    );
    const profile = new aws.iam.InstanceProfile(name, { path: MADE_ROLE_PATH, role: role.name }, child);
    const template = new aws.ec2.LaunchTemplate(
      name,
      {
        imageId: `resolve:ssm:${IMAGE_PARAMETER}`,
        instanceType: 't3.micro',
        updateDefaultVersion: true,
        iamInstanceProfile: { arn: profile.arn },
        metadataOptions: { httpEndpoint: 'enabled', httpTokens: 'required', httpPutResponseHopLimit: 1 },
        blockDeviceMappings: [
          {
            deviceName: '/dev/xvda',
            ebs: {
              volumeSize: 16,
              volumeType: 'gp3',
              encrypted: 'true',
              kmsKeyId: diskKeyArn,
              deleteOnTermination: 'true',
            },
          },
        ],
      },
      child,
    );
    const instance = new aws.ec2.Instance(
      name,
      {
        launchTemplate: { id: template.id, version: '$Latest' },
        subnetId: Object.values(network.privateSubnets)[0],
        vpcSecurityGroupIds: [group.id, workspace.clientSecurityGroupId],
        associatePublicIpAddress: false,
        tags: { Name: name },
      },
      child,
    );
    this.instanceId = instance.id;
    this.registerOutputs({ instanceId: this.instanceId });
  }
}
