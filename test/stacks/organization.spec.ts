import assert from 'node:assert/strict';
import type { ProgramRun } from '../engine/run-program';
import { ofType, one, planOf, policies, type Statement } from './plans';

const POLICY = 'aws:organizations/policy:Policy';
/** Policies that hold in every account of platform and hospitals. */
const EVERYWHERE = ['baseline', 'protect-data', 'outside-roles', 'organization-perimeter', 'made-role-perimeter'];

describe('organisation stack', () => {
  let plan: ProgramRun;
  before(async () => {
    plan = await planOf('org');
  });

  function document(name: string): Statement[] {
    return policies(plan).find((each) => each.on === POLICY && each.name === `org-units-${name}`)!.statements;
  }

  const attached = (policy: string) =>
    ofType(plan, 'aws:organizations/policyAttachment:PolicyAttachment')
      .filter(({ name }) => name.startsWith(`org-units-${policy}-`))
      .map(({ name }) => name.replace(`org-units-${policy}-`, ''))
      .sort();

  it('makes an account for each hospital that has none, which no destroy deletes or closes', () => {
    const accounts = ofType(plan, 'aws:organizations/account:Account');
    assert.deepEqual(accounts.map(({ name }) => name.replace('org-account-', '')).sort(), [
      'dev-charite',
      'prod-charite',
      'prod-leeds',
    ]);
    for (const { protect, inputs, name } of accounts) {
      assert.equal(protect, true, name);
      assert.equal(inputs.closeOnDeletion, false, name);
    }
  });

  it('puts each account into the unit of its environment', () => {
    const unit = (name: string) => one(plan, 'aws:organizations/organizationalUnit:OrganizationalUnit', name).id;
    const parent = (name: string) => one(plan, 'aws:organizations/account:Account', name).inputs.parentId;
    assert.equal(parent('org-account-dev-charite'), unit('org-units-hospitals-dev'));
    assert.equal(parent('org-account-prod-leeds'), unit('org-units-hospitals-prod'));
  });

  it('guards an adopted account directly, because it stays in the unit in which its owner has it', () => {
    for (const policy of [...EVERYWHERE, 'hospital-perimeter']) {
      assert.ok(attached(policy).includes('777788889999'), policy);
    }
  });

  it('guards the accounts of the platform directly, because nobody moves them into its unit', () => {
    for (const policy of EVERYWHERE) {
      for (const account of ['222233334444', '333344445555']) assert.ok(attached(policy).includes(account), policy);
    }
  });

  it('lets other accounts take roles only where a hospital had roles before, and those of deployments nowhere', () => {
    assert.deepEqual(attached('role-perimeter'), ['hospitals']);
    const [perimeter] = document('made-role-perimeter');
    assert.equal(perimeter.Resource, 'arn:aws:iam::*:role/clara-federation/*');
    assert.deepEqual(attached('made-role-perimeter'), attached('organization-perimeter'));
  });

  it('makes the boundary of tasks beside each deployment role, which gives no right to change roles, networks or buckets', () => {
    const ceilings = policies(plan).filter(({ on, name }) => on === 'aws:iam/policy:Policy' && /-roles$/.test(name));
    assert.equal(ceilings.length, ofType(plan, 'aws:iam/role:Role').length);
    for (const { statements } of ceilings) {
      const actions = statements.flatMap(({ Action = [] }) => Action);
      assert.ok(actions.includes('ecs:RunTask'));
      for (const action of actions) {
        assert.doesNotMatch(
          action,
          /Policy$|Block$|^\*|:\*$|^(ec2|elasticloadbalancing|organizations|sts):|^iam:(?!PassRole$)/,
        );
      }
    }
  });

  it('attaches at most five policies of a kind to a target', () => {
    const count = new Map<string, number>();
    const kinds = new Map(ofType(plan, POLICY).map(({ id, inputs }) => [id, inputs.type]));
    for (const { inputs } of ofType(plan, 'aws:organizations/policyAttachment:PolicyAttachment')) {
      const key = `${inputs.targetId} ${kinds.get(String(inputs.policyId))}`;
      count.set(key, (count.get(key) ?? 0) + 1);
    }
    // AWS attaches one that allows everything itself.
    for (const [key, number] of count) assert.ok(number <= 4, key);
  });

  it('denies other regions, leaving, the root user, and touching the deployment role', () => {
    const sids = document('baseline').map(({ Sid }) => Sid);
    for (const sid of [
      'DenyOtherRegions',
      'DenyLeaving',
      'DenyRootUser',
      'DenyTouchingDeployment',
      'DenyBlindingAudit',
    ]) {
      assert.ok(sids.includes(sid), sid);
    }
    const [regions] = document('baseline');
    assert.deepEqual(regions.Condition?.StringNotEquals['aws:RequestedRegion'], ['eu-west-2', 'eu-central-1']);
  });

  it('grants nothing by a policy of the organisation', () => {
    for (const { on, statements } of policies(plan)) {
      if (on === POLICY) for (const { Effect, Sid } of statements) assert.equal(Effect, 'Deny', Sid);
    }
  });

  it('gives every account with a known id a deployment role below a boundary that never sees data', () => {
    const roles = ofType(plan, 'aws:iam/role:Role');
    assert.equal(roles.length, 7);
    for (const { inputs, name } of roles) {
      assert.equal(inputs.name, 'clara-federation-deployment', name);
      assert.match(String(inputs.permissionsBoundary), /policy\/clara-federation-deployment-boundary$/, name);
    }
    const boundary = policies(plan).find(({ name }) => name === 'org-deployment-prod-boundary')!.statements;
    const denied = boundary.filter(({ Effect }) => Effect === 'Deny').flatMap(({ Action }) => Action ?? []);
    for (const action of ['s3:GetObject', 'elasticfilesystem:ClientMount', 'ecs:ExecuteCommand', 'sts:AssumeRole']) {
      assert.ok(denied.includes(action), action);
    }
  });

  it('works in each account through a provider of that account', () => {
    for (const { name, inputs } of ofType(plan, 'pulumi:providers:aws').filter((each) => each.name !== 'management')) {
      const [account] = JSON.parse(String(inputs.allowedAccountIds)) as string[];
      assert.ok(
        String(inputs.assumeRoles).includes(`arn:aws:iam::${account}:role/OrganizationAccountAccessRole`),
        name,
      );
    }
  });

  it('records every management call of every account where nobody can delete it', () => {
    const { inputs } = one(plan, 'aws:cloudtrail/trail:Trail');
    assert.deepEqual([inputs.isOrganizationTrail, inputs.isMultiRegionTrail], [true, true]);
    assert.equal(one(plan, 'aws:s3/bucket:Bucket', 'org-audit').inputs.objectLockEnabled, true);
  });
});
