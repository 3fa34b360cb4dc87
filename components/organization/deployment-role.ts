import * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';
import { requireAwsProvider } from '../explicit-provider';
import { placeOf } from '../place';
import { deploymentBoundary, deploymentPolicy, deploymentTrust } from './deployment-policies';
import { madeRolesBoundary, madeRolesBoundaryName } from './made-roles';

export interface DeploymentRoleArgs {
  /** The same in every account, because stack files name it. */
  readonly roleName: string;
  readonly deployerArns: readonly string[];
  readonly organizationId: string;
}

/** The role with which stacks of an account are deployed, below its boundary, and the boundary of the roles that it makes. */
export class DeploymentRole extends pulumi.ComponentResource {
  public readonly roleArn: pulumi.Output<string>;

  /** @throws DeploymentInputError without an explicit aws provider */
  constructor(
    name: string,
    { roleName, deployerArns, organizationId }: DeploymentRoleArgs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    requireAwsProvider(`DeploymentRole ${name}`, opts);
    super('clara-federation:organization:DeploymentRole', name, {}, opts);
    const child = { parent: this };
    const { partition, accountId } = placeOf(this);
    const place = pulumi.all([partition, accountId]);
    const boundary = new aws.iam.Policy(
      `${name}-boundary`,
      {
        name: `${roleName}-boundary`,
        description: 'Ceiling of deployments: they make the platform and never see data',
        policy: pulumi.jsonStringify(place.apply(([part, account]) => deploymentBoundary(part, account, roleName))),
      },
      child,
    );
    new aws.iam.Policy(
      `${name}-roles`,
      {
        name: madeRolesBoundaryName(roleName),
        description: 'Ceiling of the roles that deployments make',
        policy: pulumi.jsonStringify(place.apply(([part, account]) => madeRolesBoundary(part, account))),
      },
      child,
    );
    const role = new aws.iam.Role(
      name,
      {
        name: roleName,
        description: 'Deploys the stacks of this account',
        assumeRolePolicy: pulumi.jsonStringify(deploymentTrust(deployerArns, organizationId)),
        permissionsBoundary: boundary.arn,
        maxSessionDuration: 4 * 3600,
      },
      child,
    );
    new aws.iam.RolePolicy(
      name,
      {
        role: role.name,
        policy: pulumi.jsonStringify(place.apply(([part, account]) => deploymentPolicy(part, account, roleName))),
      },
      child,
    );
    this.roleArn = role.arn;
    this.registerOutputs({ roleArn: this.roleArn });
  }
}
