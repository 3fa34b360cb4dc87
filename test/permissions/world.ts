import assert from 'node:assert/strict';
import type { Registration } from '../engine/deployment';

/** The IAM documents of plans, as AWS would have them after all of these stacks were deployed. */

export interface Document {
  readonly Version: string;
  readonly Statement: readonly unknown[];
}

export interface NamedDocument {
  readonly name: string;
  readonly policy: Document;
}

/** A plan, and whose it is. */
export interface Deployed {
  readonly account: string;
  readonly region: string;
  readonly resources: readonly Registration[];
}

export interface Role {
  readonly arn: string;
  readonly account: string;
  readonly identity: readonly NamedDocument[];
  readonly boundary: readonly NamedDocument[];
}

/** What of a kind of policy is attached to a target, or to what a target lies in; AWS reads them from the root down. */
export interface Level {
  readonly orgIdentifier: string;
  readonly policies: readonly NamedDocument[];
}

export interface World {
  readonly plans: Readonly<Record<string, Deployed>>;
  readonly organizationId: string;
  /** SCPs and RCPs that hold in an account; none in the management account and outside the organisation. */
  guardRails(account: string): { readonly service: readonly Level[]; readonly resource: readonly Level[] };
  isMember(account: string): boolean;
  role(stack: string, name: string): Role;
  /** The policy of a bucket, key, file system, repository or role. */
  resourcePolicy(arn: string): Document | undefined;
  /** The policies of the endpoints through which calls of a network to a service pass; none where there is no such endpoint. */
  endpointPolicies(stack: string, service: string): readonly NamedDocument[];
}

/** What AWS attaches to every root, unit and account, and no plan mentions (Organizations user guide, "SCP evaluation"). */
const EVERYTHING: NamedDocument = {
  name: 'FullAWSAccess',
  policy: { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] },
};

const ORGANIZATION = 'org';

/** Types that would give rights in a way that this model does not read. */
const UNREAD =
  /RolePolicyAttachment|RolePoliciesExclusive|UserPolicy|GroupPolicy|AccessPointPolicy$|SecretPolicy|iam\/user/;

/** @param plans every stack by name; `org` is the organisation's */
export function worldOf(plans: Readonly<Record<string, Deployed>>): World {
  for (const { resources } of Object.values(plans)) {
    for (const { type, urn } of resources)
      assert.doesNotMatch(type, UNREAD, `${urn}: teach test/permissions/ to read it`);
  }
  const organization = plans[ORGANIZATION];
  const everything = Object.values(plans).flatMap(({ resources }) => resources);
  const policies = resourcePolicies(everything);
  const guardRails = organizationGuardRails(organization, plans);
  const members = new Set([organization.account, ...Object.values(plans).map(({ account }) => account)]);
  return {
    plans,
    organizationId: organizationId(organization),
    guardRails,
    isMember: (account) => members.has(account),
    role: (stack, name) => roleOf(plans[stack].resources, name, everything),
    resourcePolicy: (arn) => policies.get(arn.startsWith('arn:aws:s3:::') ? arn.split('/')[0] : arn),
    endpointPolicies: (stack, service) =>
      plans[stack].resources
        .filter(({ type, inputs }) => type === 'aws:ec2/vpcEndpoint:VpcEndpoint' && 'policy' in inputs)
        .filter(({ inputs }) => ENDPOINTS[service]?.includes(String(inputs.serviceName).split('.').slice(3).join('.')))
        .map(({ name, inputs }) => ({ name, policy: documentOf(inputs.policy) })),
  };
}

/** Endpoint names, by the prefix of the actions that go through them. */
const ENDPOINTS: Readonly<Record<string, readonly string[]>> = {
  s3: ['s3'],
  kms: ['kms'],
  secretsmanager: ['secretsmanager'],
  ecs: ['ecs'],
  logs: ['logs'],
  sts: ['sts'],
  ecr: ['ecr.api'],
};

/** The only resource of a type whose logical name fits. */
export function resource({ resources }: Deployed, type: string, name: string | RegExp): Registration {
  const found = resources.filter(
    (each) => each.type === type && (typeof name === 'string' ? each.name === name : name.test(each.name)),
  );
  assert.equal(found.length, 1, `${found.length} resources ${type} ${name}`);
  return found[0];
}

export function arnOf({ outputs, urn }: Registration): string {
  assert.ok(typeof outputs?.arn === 'string', urn);
  return outputs.arn;
}

function documentOf(text: unknown): Document {
  assert.ok(typeof text === 'string');
  return JSON.parse(text) as Document;
}

function roleOf(
  resources: readonly Registration[],
  name: string,
  // The boundary of a stack's roles is made by the organisation's.
  everything: readonly Registration[],
): Role {
  const found = resources.find((each) => each.type === 'aws:iam/role:Role' && each.name === name);
  assert.ok(found, `no role ${name}`);
  const identity = resources
    .filter(({ type, inputs }) => type === 'aws:iam/rolePolicy:RolePolicy' && inputs.role === found.outputs?.name)
    .filter(({ provider }) => provider === found.provider)
    .map((each) => ({ name: each.name, policy: documentOf(each.inputs.policy) }));
  assert.ok(identity.length > 0, `${name} has no policy`);
  const arn = arnOf(found);
  const limit = found.inputs.permissionsBoundary;
  const boundary = everything
    .filter((each) => each.type === 'aws:iam/policy:Policy' && each.outputs?.arn === limit)
    .map((each) => ({ name: each.name, policy: documentOf(each.inputs.policy) }));
  assert.equal(boundary.length, limit === undefined ? 0 : 1, `boundary of ${name}`);
  return { arn, account: arn.split(':')[4], identity, boundary };
}

function resourcePolicies(resources: readonly Registration[]): ReadonlyMap<string, Document> {
  const policies = new Map<string, Document>();
  for (const { type, inputs, outputs, urn } of resources) {
    if (type === 'aws:kms/key:Key') policies.set(String(outputs?.arn), documentOf(inputs.policy));
    if (type === 'aws:iam/role:Role') policies.set(String(outputs?.arn), documentOf(inputs.assumeRolePolicy));
    if (type === 'aws:s3/bucketPolicy:BucketPolicy') {
      policies.set(`arn:aws:s3:::${String(inputs.bucket)}`, documentOf(inputs.policy));
    }
    const owner = OWNERS[type];
    if (owner === undefined) continue;
    const [kind, id, property] = owner;
    const region = inputs.region;
    const of = resources.find(
      (each) =>
        each.type === kind && each.id === inputs[id] && each.inputs.region === region && sameStack(each.urn, urn),
    );
    policies.set(arnOf(of!), documentOf(inputs[property]));
  }
  return policies;
}

/** Where the policy of a resource is a resource of its own: what it belongs to, and by which property. */
const OWNERS: Readonly<Record<string, readonly [type: string, id: string, policy: string]>> = {
  'aws:efs/fileSystemPolicy:FileSystemPolicy': ['aws:efs/fileSystem:FileSystem', 'fileSystemId', 'policy'],
  'aws:ecr/repositoryPolicy:RepositoryPolicy': ['aws:ecr/repository:Repository', 'repository', 'policy'],
};

function sameStack(a: string, b: string): boolean {
  return a.split('::')[0] === b.split('::')[0];
}

function organizationId({ resources }: Deployed): string {
  const role = resources.find(({ type }) => type === 'aws:iam/role:Role')!;
  const text = String(role.inputs.assumeRolePolicy);
  return /"aws:PrincipalOrgID":"(o-[a-z0-9]+)"/.exec(text)![1];
}

function organizationGuardRails(organization: Deployed, plans: Readonly<Record<string, Deployed>>) {
  const { resources } = organization;
  const ofType = (type: string) => resources.filter((each) => each.type === `aws:organizations/${type}`);
  const units = new Map(ofType('organizationalUnit:OrganizationalUnit').map((unit) => [unit.id, unit]));
  const policies = new Map(ofType('policy:Policy').map((policy) => [policy.id, policy]));
  const attachments = ofType('policyAttachment:PolicyAttachment');
  const levelsOf = (account: string): string[] => {
    const stack = Object.keys(plans).find((name) => plans[name].account === account);
    const made = ofType('account:Account').find(({ name }) => name === `org-account-${stack}`);
    const above: string[] = [];
    for (let at = made && String(made.inputs.parentId); at !== undefined; ) {
      above.unshift(at);
      const unit = units.get(at);
      at = unit && String(unit.inputs.parentId);
    }
    // An account that the organisation did not make is somewhere below the root, in units that attach nothing of ours.
    return [...above, account];
  };
  const attached = (target: string, type: string): NamedDocument[] =>
    attachments
      .filter(({ inputs }) => inputs.targetId === target)
      .map(({ inputs }) => policies.get(String(inputs.policyId))!)
      .filter(({ inputs }) => inputs.type === type)
      .map(({ inputs }) => ({ name: String(inputs.name), policy: documentOf(inputs.content) }));
  return (account: string) => {
    const isMember = Object.values(plans).some((plan) => plan.account === account);
    if (!isMember || account === organization.account) return { service: [], resource: [] };
    const levels = levelsOf(account);
    return {
      service: levels.map((orgIdentifier) => ({
        orgIdentifier,
        policies: [EVERYTHING, ...attached(orgIdentifier, 'SERVICE_CONTROL_POLICY')],
      })),
      resource: levels.map((orgIdentifier) => ({
        orgIdentifier,
        policies: attached(orgIdentifier, 'RESOURCE_CONTROL_POLICY'),
      })),
    };
  };
}
