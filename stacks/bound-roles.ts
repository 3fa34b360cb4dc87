import * as pulumi from '@pulumi/pulumi';
import { madeRolesBoundaryArn } from '../components/organization/made-roles';

/**
 * Gives every role of the stack, whatever component makes it, the boundary that lies beside the deployment role: the organisation makes
 * both, and a deployment is refused a role without it. Whoever deploys with credentials of their own has no such policy.
 */
export function boundRoles(deploymentRoleArn: string | undefined): void {
  if (!deploymentRoleArn) return;
  const permissionsBoundary = madeRolesBoundaryArn(deploymentRoleArn);
  pulumi.runtime.registerStackTransformation(({ type, props, opts }) =>
    type === 'aws:iam/role:Role' ? { props: { ...props, permissionsBoundary }, opts } : undefined,
  );
}
