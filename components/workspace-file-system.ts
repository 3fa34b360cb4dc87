import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import * as aws from './aws';
import { dataKey } from './data-key';
import { requireAwsProvider } from './explicit-provider';
import { checked } from './faults';
import { SUBNET_ID, subnetsByZone, textInput, VPC_ID } from './input-rules';
import { workspacePolicy } from './workspace-policy';
import { WORKSPACE_ROOMS } from './workspace-rooms';

/** NFS 4.1, the only protocol of EFS. */
const NFS_PORT = 2049;

export interface WorkspaceFileSystemArgs {
  readonly vpcId: pulumi.Input<string>;
  /** One subnet a zone, by zone id: `{ 'euw2-az1': 'subnet-...' }`. Its keys decide how many mount targets there are. */
  readonly subnets: Readonly<Record<string, pulumi.Input<string>>>;
  /**
   * Leaves the data in the account when the stack is destroyed: the file system, the key that can read it, its policy
   * and its backups. Only an option of resources that exist either way, so switching it changes nothing in AWS.
   * @default true
   */
  readonly retainOnDelete?: boolean;
  /** Daily backups by AWS Backup, kept 35 days (EFS user guide, "Automatic backups"). @default true */
  readonly backup?: boolean;
}

const ARGUMENTS = z.strictObject({
  vpcId: textInput(VPC_ID, 'must be the id of a VPC, vpc-...'),
  subnets: subnetsByZone(textInput(SUBNET_ID, 'must be the id of a subnet, subnet-...')),
  retainOnDelete: z.boolean({ error: 'must be true or false' }).default(true),
  backup: z.boolean({ error: 'must be true or false' }).default(true),
});

/**
 * The shared workspace of a site: an elastic EFS file system, encrypted with a key of its own, with a mount target in
 * every given zone and one access point for each room.
 *
 * Who may connect is a security group that a task wears ({@link clientSecurityGroupId}); who may mount is an IAM right of
 * the task's role; both are needed.
 */
export class WorkspaceFileSystem extends pulumi.ComponentResource {
  public readonly fileSystemId: pulumi.Output<string>;
  public readonly fileSystemArn: pulumi.Output<string>;
  /** Resolves, inside the VPC, to the mount target of the caller's own zone. */
  public readonly dnsName: pulumi.Output<string>;
  /** Access point id of each room. */
  public readonly accessPointIds: Readonly<Record<string, pulumi.Output<string>>>;
  /** ARN of each: what the right of a task role to mount is tied to. */
  public readonly accessPointArns: Readonly<Record<string, pulumi.Output<string>>>;
  /** The security group to give to a task that mounts the workspace. */
  public readonly clientSecurityGroupId: pulumi.Output<string>;
  public readonly keyArn: pulumi.Output<string>;

  /** @throws DeploymentInputError on a broken argument or without an explicit aws provider */
  constructor(name: string, args: WorkspaceFileSystemArgs, opts?: pulumi.ComponentResourceOptions) {
    const what = `WorkspaceFileSystem ${name}`;
    const { vpcId, subnets, retainOnDelete, backup } = checked(what, ARGUMENTS, args);
    requireAwsProvider(what, opts);
    super('clara-federation:storage:WorkspaceFileSystem', name, {}, opts);
    const child = { parent: this };
    const kept = { parent: this, retainOnDelete };

    const key = dataKey(`${name}-key`, { description: `Workspace ${name}`, ...kept });
    const fileSystem = new aws.efs.FileSystem(
      name,
      {
        encrypted: true,
        kmsKeyId: key.arn,
        throughputMode: 'elastic',
        lifecyclePolicies: [{ transitionToIa: 'AFTER_30_DAYS' }, { transitionToPrimaryStorageClass: 'AFTER_1_ACCESS' }],
        tags: { Name: name },
      },
      kept,
    );
    const policy = new aws.efs.FileSystemPolicy(
      `${name}-policy`,
      {
        fileSystemId: fileSystem.id,
        policy: pulumi.jsonStringify(fileSystem.arn.apply(workspacePolicy)),
      },
      kept,
    );
    new aws.efs.BackupPolicy(
      `${name}-backup`,
      { fileSystemId: fileSystem.id, backupPolicy: { status: backup ? 'ENABLED' : 'DISABLED' } },
      kept,
    );

    const groups = securityGroups(name, vpcId, child);
    for (const [zone, subnetId] of Object.entries(subnets)) {
      // Before its policy is there a file system lets anybody in who reaches it, so the doors come after the policy.
      new aws.efs.MountTarget(
        `${name}-mount-${zone}`,
        { fileSystemId: fileSystem.id, subnetId, securityGroups: [groups.mounts.id] },
        { ...child, dependsOn: [policy] },
      );
    }
    const points = Object.entries(WORKSPACE_ROOMS).map(([room, { path, uid, gid, permissions }]) => {
      const point = new aws.efs.AccessPoint(
        `${name}-${room}`,
        {
          fileSystemId: fileSystem.id,
          posixUser: { uid, gid },
          rootDirectory: { path, creationInfo: { ownerUid: uid, ownerGid: gid, permissions } },
          tags: { Name: `${name}-${room}` },
        },
        child,
      );
      return [room, point] as const;
    });

    this.fileSystemId = fileSystem.id;
    this.fileSystemArn = fileSystem.arn;
    this.dnsName = fileSystem.dnsName;
    this.accessPointIds = Object.fromEntries(points.map(([room, { id }]) => [room, id]));
    this.accessPointArns = Object.fromEntries(points.map(([room, point]) => [room, point.arn]));
    this.clientSecurityGroupId = groups.clients.id;
    this.keyArn = key.arn;
    this.registerOutputs({
      fileSystemId: this.fileSystemId,
      fileSystemArn: this.fileSystemArn,
      dnsName: this.dnsName,
      accessPointIds: this.accessPointIds,
      accessPointArns: this.accessPointArns,
      clientSecurityGroupId: this.clientSecurityGroupId,
      keyArn: this.keyArn,
    });
  }
}

/** Two groups that know only each other: NFS from the clients to the mount targets, nothing else in or out. */
function securityGroups(name: string, vpcId: pulumi.Input<string>, child: pulumi.CustomResourceOptions) {
  const group = (suffix: string, description: string): aws.ec2.SecurityGroup =>
    new aws.ec2.SecurityGroup(`${name}-${suffix}`, { vpcId, description, tags: { Name: `${name}-${suffix}` } }, child);
  const mounts = group('mounts', `Mount targets of ${name}`);
  const clients = group('clients', `Tasks that may reach ${name}`);
  const nfs = { ipProtocol: 'tcp', fromPort: NFS_PORT, toPort: NFS_PORT };
  new aws.vpc.SecurityGroupIngressRule(
    `${name}-from-clients`,
    { ...nfs, securityGroupId: mounts.id, referencedSecurityGroupId: clients.id, description: 'NFS from clients' },
    child,
  );
  new aws.vpc.SecurityGroupEgressRule(
    `${name}-to-mounts`,
    { ...nfs, securityGroupId: clients.id, referencedSecurityGroupId: mounts.id, description: 'NFS to mount targets' },
    child,
  );
  return { mounts, clients };
}
