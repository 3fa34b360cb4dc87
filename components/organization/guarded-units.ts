import * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';
import { requireAwsProvider } from '../explicit-provider';
import { DeploymentInputError } from '../faults';
import type { PolicyDocument } from '../policy-document';
import {
  hospitalPerimeter,
  madeRolePerimeter,
  organizationPerimeter,
  rolePerimeter,
} from './resource-control-policies';
import {
  baseline,
  outsideRoles,
  protectData,
  RCP_MOST_CHARACTERS,
  SCP_MOST_CHARACTERS,
  suspended,
} from './service-control-policies';

export interface GuardedUnitsArgs {
  readonly rootId: string;
  readonly organizationId: string;
  readonly partition: string;
  readonly deploymentRole: string;
  /** Role in every account that the organisation's stack works with. */
  readonly memberRole: string;
  readonly allowedRegions: readonly string[];
  /** Accounts that stay where they are, and get the policies of hospitals directly. */
  readonly adoptedAccounts: readonly string[];
  /** Accounts of coordinators, which nobody here makes or moves; they get the policies of the platform directly. */
  readonly platformAccounts: readonly string[];
}

/** Units in which accounts lie. */
export type UnitName = 'platform' | 'hospitals-dev' | 'hospitals-prod' | 'suspended';

/** The units of the organisation, and the rules that hold in each. */
export class GuardedUnits extends pulumi.ComponentResource {
  public readonly unitIds: Readonly<Record<UnitName, pulumi.Output<string>>>;

  /** @throws DeploymentInputError without an explicit aws provider, or when a policy is larger than AWS takes */
  constructor(name: string, args: GuardedUnitsArgs, opts?: pulumi.ComponentResourceOptions) {
    const what = `GuardedUnits ${name}`;
    requireAwsProvider(what, opts);
    const documents = policies(args);
    refuseLarge(what, documents);
    super('clara-federation:organization:GuardedUnits', name, {}, opts);
    const child = { parent: this };
    const unit = (suffix: string, title: string, parentId: pulumi.Input<string>) =>
      new aws.organizations.OrganizationalUnit(
        `${name}-${suffix}`,
        { name: title, parentId },
        { ...child, protect: true },
      );
    const platform = unit('platform', 'platform', args.rootId);
    const hospitals = unit('hospitals', 'hospitals', args.rootId);
    const dev = unit('hospitals-dev', 'dev', hospitals.id);
    const prod = unit('hospitals-prod', 'prod', hospitals.id);
    const left = unit('suspended', 'suspended', args.rootId);

    const adopted = byThemselves(args.adoptedAccounts);
    const everywhere = {
      platform: platform.id,
      hospitals: hospitals.id,
      ...adopted,
      ...byThemselves(args.platformAccounts),
    };
    const targets: Readonly<Record<keyof typeof documents, Readonly<Record<string, pulumi.Input<string>>>>> = {
      baseline: everywhere,
      'protect-data': everywhere,
      'outside-roles': everywhere,
      suspended: { suspended: left.id },
      'organization-perimeter': everywhere,
      'hospital-perimeter': { hospitals: hospitals.id, ...adopted },
      'made-role-perimeter': everywhere,
      // Not where a hospital had roles before, which others may take with good reason.
      'role-perimeter': { hospitals: hospitals.id },
    };
    for (const [policyName, { type, description, document }] of Object.entries(documents)) {
      const policy = new aws.organizations.Policy(
        `${name}-${policyName}`,
        { name: `clara-federation-${policyName}`, description, type, content: JSON.stringify(document) },
        child,
      );
      for (const [target, targetId] of Object.entries(targets[policyName as keyof typeof documents])) {
        new aws.organizations.PolicyAttachment(
          `${name}-${policyName}-${target}`,
          { policyId: policy.id, targetId },
          child,
        );
      }
    }
    this.unitIds = {
      platform: platform.id,
      'hospitals-dev': dev.id,
      'hospitals-prod': prod.id,
      suspended: left.id,
    };
    this.registerOutputs({ unitIds: this.unitIds });
  }
}

function byThemselves(accounts: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(accounts.map((account) => [account, account]));
}

interface Policy {
  readonly type: 'SERVICE_CONTROL_POLICY' | 'RESOURCE_CONTROL_POLICY';
  readonly description: string;
  readonly document: PolicyDocument;
}

function policies(args: GuardedUnitsArgs) {
  const scp = (description: string, document: PolicyDocument): Policy => ({
    type: 'SERVICE_CONTROL_POLICY',
    description,
    document,
  });
  const rcp = (description: string, document: PolicyDocument): Policy => ({
    type: 'RESOURCE_CONTROL_POLICY',
    description,
    document,
  });
  return {
    baseline: scp('Regions, root user, audit, deployment role', baseline(args)),
    'protect-data': scp('Encryption, keys, buckets and backups of those who hold data', protectData(args)),
    'outside-roles': scp("The organisation's role makes the deployment role; neither sees data", outsideRoles(args)),
    suspended: scp('Nothing but looking', suspended(args)),
    'organization-perimeter': rcp(
      'Data answer to this organisation, over TLS',
      organizationPerimeter(args.organizationId),
    ),
    'hospital-perimeter': rcp("A hospital's data answer to its own account", hospitalPerimeter()),
    'made-role-perimeter': rcp('Roles of deployments are taken from their own account', madeRolePerimeter(args)),
    'role-perimeter': rcp("A hospital's roles are taken from its own account", rolePerimeter(args)),
  };
}

function refuseLarge(what: string, documents: Readonly<Record<string, Policy>>): void {
  const faults = Object.entries(documents).flatMap(([name, { type, document }]) => {
    const most = type === 'SERVICE_CONTROL_POLICY' ? SCP_MOST_CHARACTERS : RCP_MOST_CHARACTERS;
    const { length } = JSON.stringify(document);
    return length <= most ? [] : [{ path: name, value: `${length} characters`, rule: `must have at most ${most}` }];
  });
  if (faults.length > 0) throw new DeploymentInputError(what, faults);
}
