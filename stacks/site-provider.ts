import * as aws from '@pulumi/aws';
import type { SiteConfiguration } from './configuration';

/**
 * The one AWS provider of a site stack. An explicit provider takes nothing from the stack's `aws:` configuration, so all
 * of it is said here: it refuses to work in any account but the hospital's, and it tags everything that it makes.
 */
export function siteProvider(site: SiteConfiguration): aws.Provider {
  return new aws.Provider('site', {
    region: site.region as aws.Region,
    allowedAccountIds: [site.accountId],
    ...(site.deploymentRoleArn === undefined
      ? {}
      : { assumeRoles: [{ roleArn: site.deploymentRoleArn, sessionName: `clara-federation-${site.siteId}` }] }),
    defaultTags: {
      tags: {
        Project: 'clara-federation',
        Environment: site.environment,
        Site: site.siteId,
        ManagedBy: 'pulumi',
      },
    },
  });
}
