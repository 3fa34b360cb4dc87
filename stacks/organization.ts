import * as pulumi from '@pulumi/pulumi';
import * as aws from '../components/aws';
import { dataKey } from '../components/data-key';
import { AuditTrail } from '../components/operations/audit-trail';
import { monthlyBudget } from '../components/operations/monthly-budget';
import { DeploymentRole } from '../components/organization/deployment-role';
import { GuardedUnits } from '../components/organization/guarded-units';
import { type EnvironmentAccounts, environmentAccounts } from './catalogue-file';
import { ENVIRONMENTS } from './common-keys';
import type { OrganizationConfiguration } from './organization-configuration';
import { DEPLOYMENT_ROLE, partitionOf, siteStackName } from './site-stack-file';
import { stackProvider } from './stack-provider';

/** What others read from the organisation's stack. */
export interface OrganizationOutputs extends Record<string, pulumi.Input<unknown>> {
  /** Account of each hospital and environment, by stack. One that was just made goes into the catalogue. */
  readonly Accounts: Readonly<Record<string, pulumi.Input<string>>>;
  /** Role that each stack is deployed with. */
  readonly DeploymentRoles: Readonly<Record<string, pulumi.Output<string>>>;
  readonly AuditBucketName: pulumi.Output<string>;
}

/** The accounts of all environments and hospitals, and the rules that hold in them. */
export function deployOrganization(organization: OrganizationConfiguration): OrganizationOutputs {
  const { accountId, region, organizationId } = organization;
  const environments = ENVIRONMENTS.map((environment) => environmentAccounts(pulumi.getRootDirectory(), environment));
  const provider = stackProvider('management', {
    environment: 'org',
    accountId,
    region,
    roleArn: organization.deploymentRoleArn,
    session: 'org',
  });
  const tree = new Organization('org', { provider });
  const child = { parent: tree };

  const sites = environments.flatMap(({ environment, sites: entries }) =>
    entries.map((site) => ({ ...site, environment, stack: siteStackName(environment, site.id) })),
  );
  const units = new GuardedUnits(
    'org-units',
    {
      rootId: organization.organizationRootId,
      organizationId,
      partition: partitionOf(region),
      deploymentRole: DEPLOYMENT_ROLE,
      memberRole: organization.memberRoleName,
      allowedRegions: organization.allowedRegions,
      adoptedAccounts: [
        ...new Set(sites.flatMap((site) => (site.accountEmail === undefined ? [site.accountId!] : []))),
      ].sort(),
      platformAccounts: [...new Set(environments.map((environment) => environment.accountId))].sort(),
    },
    child,
  );
  const made = sites
    .filter(({ accountEmail }) => accountEmail !== undefined)
    .map((site) => {
      const account = new aws.organizations.Account(
        `org-account-${site.stack}`,
        {
          name: `clara ${site.stack}`,
          email: site.accountEmail!,
          parentId:
            site.accountId !== undefined && organization.suspendedAccounts.includes(site.accountId)
              ? units.unitIds.suspended
              : units.unitIds[`hospitals-${site.environment}`],
          roleName: organization.memberRoleName,
          // Closing takes 90 days, cannot be repeated at will, and is no business of a destroy.
          closeOnDeletion: false,
          tags: { Site: site.id, Environment: site.environment },
        },
        // AWS answers neither, so a difference would make another account.
        { ...child, protect: true, ignoreChanges: ['roleName', 'iamUserAccessToBilling'] },
      );
      return [site.stack, account] as const;
    });

  const key = dataKey('org-audit-key', {
    description: 'Audit records of the organisation',
    users: ['trail'],
    retainOnDelete: true,
    protect: true,
    parent: tree,
  });
  const audit = new AuditTrail(
    'org-audit',
    {
      scope: { kind: 'organization', organizationId },
      retentionDays: organization.auditRetentionDays,
      keyArn: key.arn,
      protect: true,
    },
    child,
  );
  monthlyBudget(
    'org',
    {
      usd: organization.monthlyBudgetUsd,
      tag: { key: 'Project', value: 'clara-federation' },
      email: organization.alarmEmail,
    },
    child,
  );
  const roles = deployableAccounts(environments).map(([stack, account]) => {
    const member = stackProvider(`member-${stack}`, {
      environment: stack.split('-')[0],
      accountId: account,
      region,
      roleArn: `arn:${partitionOf(region)}:iam::${account}:role/${organization.memberRoleName}`,
      session: 'org',
    });
    const role = new DeploymentRole(
      `org-deployment-${stack}`,
      { roleName: DEPLOYMENT_ROLE, deployerArns: organization.deployerArns, organizationId },
      { parent: tree, provider: member },
    );
    return [stack, role.roleArn] as const;
  });
  tree.finished({ unitIds: units.unitIds });
  const known = sites.flatMap((site) => (site.accountId === undefined ? [] : [[site.stack, site.accountId] as const]));
  return {
    Accounts: { ...Object.fromEntries(made.map(([stack, { id }]) => [stack, id])), ...Object.fromEntries(known) },
    DeploymentRoles: Object.fromEntries(roles),
    AuditBucketName: audit.bucketName,
  };
}

/**
 * Accounts whose ids are known, by stack. A provider for an account that is made in the same deployment would not know where to
 * work in a preview, so a new account gets its role with the next one, when its id is in the catalogue.
 */
function deployableAccounts(environments: readonly EnvironmentAccounts[]): (readonly [string, string])[] {
  return environments.flatMap(({ environment, accountId, sites }) => [
    [environment, accountId] as const,
    ...sites.flatMap((site) =>
      site.accountId === undefined ? [] : [[siteStackName(environment, site.id), site.accountId] as const],
    ),
  ]);
}

/** What the organisation's resources hang from. */
class Organization extends pulumi.ComponentResource {
  constructor(name: string, opts: pulumi.ComponentResourceOptions) {
    super('clara-federation:organization:Organization', name, {}, opts);
  }

  finished(outputs: pulumi.Inputs): void {
    this.registerOutputs(outputs);
  }
}
