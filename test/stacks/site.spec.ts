import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Registration } from '../engine/deployment';
import { planStack } from '../engine/plan';
import { planText } from '../engine/plan-text';
import type { ProgramRun } from '../engine/run-program';

const ROOT = path.resolve(__dirname, '../..');
const PLANS = path.join(ROOT, 'test/fixtures/plans');
const STACK = 'dev-st-marys';

interface Statement {
  readonly Sid: string;
  readonly Effect: string;
  readonly Principal: unknown;
  readonly Action: string | string[];
  readonly Resource: string | string[];
  readonly Condition?: unknown;
}

const ofType = ({ resources }: ProgramRun, type: string) => resources.filter((resource) => resource.type === type);

function one(run: ProgramRun, type: string, name?: string): Registration {
  const found = ofType(run, type).filter((resource) => name === undefined || resource.name === name);
  assert.equal(found.length, 1, `${found.length} resources ${type} ${name ?? ''}`);
  return found[0];
}

/** Everything that carries a policy, with its statements. */
function policies(run: ProgramRun): { readonly on: string; readonly text: string; readonly statements: Statement[] }[] {
  return run.resources.flatMap(({ type, inputs }) => {
    if (typeof inputs.policy !== 'string') return [];
    const { Statement } = JSON.parse(inputs.policy) as { Statement: Statement[] };
    return [{ on: type, text: inputs.policy, statements: Statement }];
  });
}

function succeeded(run: ProgramRun): ProgramRun {
  assert.equal(run.exitCode, 0, `${run.logs.map(({ message }) => message).join('\n')}\n${run.printed}`);
  return run;
}

/** Compares with the reviewed plan; `UPDATE_PLANS=1` writes it anew, and the change is then reviewed as a diff. */
function assertReviewedPlan(run: ProgramRun, stack: string): void {
  const file = path.join(PLANS, `${stack}.txt`);
  const actual = planText(run);
  if (process.env.UPDATE_PLANS === '1') writeFileSync(file, actual);
  assert.equal(actual, readFileSync(file, 'utf8'), `${file} differs; UPDATE_PLANS=1 writes it anew`);
}

/** The stack as its file says, run once for all that only look at it. */
let developmentRun: Promise<ProgramRun> | undefined;
async function developmentPlan(): Promise<ProgramRun> {
  developmentRun ??= planStack({ root: ROOT, stack: STACK });
  return succeeded(await developmentRun);
}

describe('site stack', () => {
  let plan: ProgramRun;
  before(async () => {
    plan = await developmentPlan();
  });

  it('makes exactly what the reviewed plan shows', () => {
    assertReviewedPlan(plan, STACK);
  });

  it('gives every resource the provider of the site, which refuses any other account', () => {
    const provider = one(plan, 'pulumi:providers:aws');
    const made = plan.resources.filter(({ custom, type }) => custom && !type.startsWith('pulumi:'));
    assert.ok(made.length > 10);
    for (const { urn, provider: used } of made) assert.equal(used, provider.urn, urn);
    assert.deepEqual(JSON.parse(provider.inputs.allowedAccountIds as string), ['111122223333']);
  });

  it('puts every resource under a component and names it after the component', () => {
    const components = plan.resources.filter(({ type }) => type.startsWith('clara-federation:'));
    assert.deepEqual(components.map(({ type }) => type).sort(), [
      'clara-federation:storage:DatasetBucket',
      'clara-federation:storage:WorkspaceFileSystem',
    ]);
    for (const { custom, type, name, parent } of plan.resources) {
      if (!custom || type.startsWith('pulumi:')) continue;
      const component = components.find(({ urn }) => urn === parent);
      assert.ok(component && name.startsWith(component.name), name);
    }
  });

  it('ends every component by registering its outputs', () => {
    for (const { type, urn, outputs } of plan.resources) {
      if (type.startsWith('clara-federation:')) assert.ok(outputs && Object.keys(outputs).length > 0, urn);
    }
  });

  it('has outputs that can be used as they are', () => {
    const { DatasetBucketName, ElasticFileSystemDnsName, WorkspaceAccessPoints } = plan.outputs ?? {};
    assert.match(String(DatasetBucketName), /^st-marys-datasets-[0-9a-f]{7}$/);
    assert.match(String(ElasticFileSystemDnsName), /^fs-[0-9a-f]+\.efs\.eu-west-2\.amazonaws\.com$/);
    assert.deepEqual(Object.keys(WorkspaceAccessPoints as object).sort(), ['agent', 'aiaa', 'training']);
  });

  it('denies access without TLS on everything that holds data', () => {
    for (const type of ['aws:s3/bucketPolicy:BucketPolicy', 'aws:efs/fileSystemPolicy:FileSystemPolicy']) {
      const { statements } = policies(plan).find(({ on }) => on === type)!;
      const denied = statements.filter(({ Effect, Condition }) => {
        return Effect === 'Deny' && JSON.stringify(Condition) === '{"Bool":{"aws:SecureTransport":"false"}}';
      });
      assert.equal(denied.length, 1, type);
      assert.equal(denied[0].Principal, '*');
    }
  });

  it('allows with a star only where a reason is written down', () => {
    const stars = policies(plan).flatMap(({ on, statements }) =>
      statements
        .filter(({ Effect, Principal, Action, Resource }) => {
          return Effect === 'Allow' && JSON.stringify([Principal, Action, Resource]).includes('*');
        })
        .map(({ Sid }) => `${on} ${Sid}`),
    );
    // Reason: see dataKeyPolicy in components/data-key.ts. One key for the datasets, one for the workspace.
    assert.deepEqual(stars, ['aws:kms/key:Key AccountDecidesByIam', 'aws:kms/key:Key AccountDecidesByIam']);
  });

  it('keeps every policy below the 20,000 characters of the smallest limit', () => {
    assert.equal(policies(plan).length, 4);
    for (const { on, text } of policies(plan)) assert.ok(text.length < 20_000, on);
  });

  it('encrypts with keys of its own that are rotated', () => {
    const keys = ofType(plan, 'aws:kms/key:Key');
    assert.equal(keys.length, 2);
    for (const { inputs } of keys) assert.equal(inputs.enableKeyRotation, true);
    assert.equal(one(plan, 'aws:efs/fileSystem:FileSystem').inputs.encrypted, true);
  });

  it('deletes the key of the datasets only after the bucket, which S3 refuses while it holds objects', () => {
    const bucket = one(plan, 'aws:s3/bucket:Bucket');
    const key = one(plan, 'aws:kms/key:Key', 'st-marys-datasets-key');
    assert.ok(bucket.dependencies.includes(key.urn));
    assert.equal(bucket.inputs.forceDestroy, false);
  });

  it('opens no mount target before the policy of the file system is there', () => {
    const policy = one(plan, 'aws:efs/fileSystemPolicy:FileSystemPolicy');
    const mounts = ofType(plan, 'aws:efs/mountTarget:MountTarget');
    assert.equal(mounts.length, 2);
    for (const mount of mounts) assert.ok(mount.dependencies.includes(policy.urn), mount.urn);
  });

  it('lets only NFS between the two security groups', () => {
    const [mounts, clients] = ['mounts', 'clients'].map(
      (name) => one(plan, 'aws:ec2/securityGroup:SecurityGroup', `st-marys-workspace-${name}`).id,
    );
    const rule = (type: string) => {
      const { fromPort, toPort, ipProtocol, securityGroupId, referencedSecurityGroupId } = one(plan, type).inputs;
      return { fromPort, toPort, ipProtocol, securityGroupId, referencedSecurityGroupId };
    };
    const nfs = { fromPort: 2049, toPort: 2049, ipProtocol: 'tcp' };
    assert.deepEqual(rule('aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule'), {
      ...nfs,
      securityGroupId: mounts,
      referencedSecurityGroupId: clients,
    });
    assert.deepEqual(rule('aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule'), {
      ...nfs,
      securityGroupId: clients,
      referencedSecurityGroupId: mounts,
    });
  });
});

describe('site stack: switching the retention of the workspace', () => {
  const RETAINED = [
    'aws:efs/backupPolicy:BackupPolicy',
    'aws:efs/fileSystem:FileSystem',
    'aws:efs/fileSystemPolicy:FileSystemPolicy',
    'aws:kms/key:Key',
  ];
  let off: ProgramRun;
  let on: ProgramRun;
  before(async () => {
    off = await developmentPlan();
    on = succeeded(await planStack({ root: ROOT, stack: STACK, changes: { retainWorkspaceOnDelete: true } }));
  });

  it('changes no input of any resource, so nothing is updated or replaced', () => {
    const inputs = ({ resources }: ProgramRun) =>
      Object.fromEntries(resources.map((resource) => [resource.urn, resource.inputs]));
    assert.deepEqual(inputs(on), inputs(off));
  });

  it('keeps the data together with what guards them: key, policy and backups', () => {
    const retained = (run: ProgramRun) => run.resources.filter(({ retainOnDelete }) => retainOnDelete);
    assert.deepEqual(
      retained(on)
        .map(({ type }) => type)
        .sort(),
      RETAINED,
    );
    assert.ok(retained(on).every(({ name }) => name.startsWith('st-marys-workspace')));
    assert.deepEqual(retained(off), []);
  });
});

describe('site stack: in another partition, with a key that exists already', () => {
  const keyArn = 'arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/5d6c';
  let plan: ProgramRun;
  before(async () => {
    const changes = {
      region: 'us-gov-west-1',
      deploymentRoleArn: 'arn:aws-us-gov:iam::111122223333:role/deploy',
      subnets: { 'usgw1-az1': 'subnet-0a1b2c3d4e5f60711', 'usgw1-az2': 'subnet-0a1b2c3d4e5f60722' },
      datasetKeyArn: keyArn,
    };
    plan = succeeded(await planStack({ root: ROOT, stack: STACK, changes, partition: 'aws-us-gov' }));
  });

  it('writes no ARN of the commercial partition', () => {
    const text = JSON.stringify([plan.resources, plan.outputs]);
    assert.ok(text.includes('arn:aws-us-gov:'));
    assert.ok(!text.includes('arn:aws:'));
  });

  it('makes no key for the datasets and uses the given one', () => {
    assert.deepEqual(
      ofType(plan, 'aws:kms/key:Key').map(({ name }) => name),
      ['st-marys-workspace-key'],
    );
    const { inputs } = one(
      plan,
      'aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration',
    );
    assert.ok(JSON.stringify(inputs.rules).includes(keyArn));
    assert.equal(plan.outputs?.DatasetKeyArn, keyArn);
  });
});

describe('site stack: production', () => {
  it('makes exactly what the reviewed plan shows', async () => {
    assertReviewedPlan(succeeded(await planStack({ root: ROOT, stack: 'prod-st-marys' })), 'prod-st-marys');
  });
});

describe('site stack: a preview', () => {
  it('shows the same resources as an update, because none is made from a value that is known later', async () => {
    const urns = ({ resources }: ProgramRun) => resources.map(({ urn }) => urn).sort();
    const preview = succeeded(await planStack({ root: ROOT, stack: STACK, mode: 'preview' }));
    assert.deepEqual(urns(preview), urns(await developmentPlan()));
  });
});

describe('site stack: what is refused before anything is made', () => {
  async function refused(stack: string, changes: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const run = await planStack({ root: ROOT, stack, changes });
    assert.notEqual(run.exitCode, 0);
    assert.deepEqual(
      run.resources.filter(({ type }) => type !== 'pulumi:pulumi:Stack'),
      [],
    );
    return run.logs.map(({ message }) => message).join('\n');
  }

  it('a wrong configuration, with all of its faults and without a stack trace', async () => {
    const message = await refused(STACK, { accountId: '42', vpcId: 'default', retainWorkspace: true });
    assert.match(message, /clara-federation:accountId \("42"\)/);
    assert.match(message, /clara-federation:vpcId \("default"\)/);
    assert.match(message, /clara-federation:retainWorkspace \("true"\): is not known here/);
    assert.doesNotMatch(message, /\n\s+at /);
  });

  it('the stack of an environment, because this version deploys only sites', async () => {
    assert.match(await refused('dev'), /clara-federation:role \(coordinator\): this version deploys only sites/);
  });
});
