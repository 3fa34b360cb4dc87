import * as pulumi from '@pulumi/pulumi';
import { boundRoles } from './bound-roles';
import { protectData } from './protect-data';
import { stackRole } from './role';

/**
 * What `pulumi up` runs. The role of the stack decides the program; it is loaded only then, because the AWS classes take
 * most of a second and a refused configuration needs none of them.
 */
export = async (): Promise<Record<string, pulumi.Input<unknown>>> => {
  const stack = pulumi.getStack();
  const configuration = pulumi.runtime.allConfig();
  if (/^(org|prod)(-|$)/.test(stack)) protectData();
  const role = stackRole(configuration, stack);
  const { keysOfOtherRoles } = await import('./all-keys');
  const otherRoles = keysOfOtherRoles(role);
  switch (role) {
    case 'site': {
      const { siteConfiguration } = await import('./configuration');
      const site = siteConfiguration(configuration, stack, otherRoles);
      boundRoles(site.deploymentRoleArn);
      const { deploySite } = await import('./site');
      return deploySite(site, stack);
    }
    case 'coordinator': {
      const { coordinatorConfiguration } = await import('./coordinator-configuration');
      const environment = coordinatorConfiguration(configuration, stack, otherRoles);
      boundRoles(environment.deploymentRoleArn);
      const { deployCoordinator } = await import('./coordinator');
      return deployCoordinator(environment, stack);
    }
    case 'organization': {
      const { organizationConfiguration } = await import('./organization-configuration');
      const organization = organizationConfiguration(configuration, stack, otherRoles);
      const { deployOrganization } = await import('./organization');
      return deployOrganization(organization);
    }
  }
};
