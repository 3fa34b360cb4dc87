import assert from 'node:assert/strict';
import type { CloudObject } from './provider/cloud';
import { RealEngine } from './real-engine';

const STACK = 'dev-st-marys';
const ACCOUNT = '111122223333';

/** One story: each chapter goes on where the one before ended, because a deployment with the real engine takes seconds. */
describe('the life of a site on the real engine', function () {
  this.timeout(300_000);
  let engine: RealEngine;
  before(async function () {
    engine = await RealEngine.open(this);
  });
  after(() => engine?.close());

  /** What the resource with that name is in AWS. */
  const named = (type: string, name: string): CloudObject => {
    const all = engine.cloud.objects.filter((object) => object.type === type && object.urn.endsWith(`::${name}`));
    assert.equal(all.length, 1, `${all.length} of ${type} ${name}`);
    return all[0]!;
  };
  const lifecycle = () =>
    named('aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration', 'st-marys-datasets-lifecycle');
  const mount = (zone: string) => named('aws:efs/mountTarget:MountTarget', `st-marys-workspace-mount-${zone}`);

  it('previews what it then makes, all of it in the account of the hospital', async () => {
    const { create: shown } = await engine.run('preview', STACK);
    assert.equal(engine.cloud.objects.length, 0);
    const { create } = await engine.run('up', STACK);
    assert.equal(create, shown);
    const custom = engine.state(STACK).filter(({ type, custom }) => custom && type.startsWith('aws:'));
    assert.ok(custom.length > 10);
    assert.deepEqual(engine.cloud.objects.map(({ urn }) => urn).sort(), custom.map(({ urn }) => urn).sort());
    for (const { account, urn } of engine.cloud.objects) assert.equal(account, ACCOUNT, urn);
  });

  it('changes nothing when nothing has changed', async () => {
    const { code, stdout, stderr } = await engine.cli(
      'up',
      '--stack',
      STACK,
      '--yes',
      '--skip-preview',
      '--expect-no-changes',
    );
    assert.equal(code, 0, stdout + stderr);
  });

  it('updates in place what can be updated', async () => {
    const before = lifecycle();
    engine.configure(STACK, { datasetNoncurrentVersionDays: 14 });
    const { update, replace, create, delete: gone } = await engine.run('up', STACK);
    assert.deepEqual(
      { update, replace, create, gone },
      { update: 1, replace: undefined, create: undefined, gone: undefined },
    );
    const after = lifecycle();
    assert.equal(after.id, before.id);
    assert.match(JSON.stringify(after.properties.rules), /"noncurrentDays":14/);
  });

  it('replaces what cannot, the new one before the old one goes', async () => {
    const [kept, old] = [mount('euw2-az1'), mount('euw2-az2')];
    const subnets = { 'euw2-az1': 'subnet-0a1b2c3d4e5f60711', 'euw2-az2': 'subnet-0a1b2c3d4e5f60733' };
    engine.configure(STACK, { subnets });
    const calls = engine.cloud.calls.length;
    await engine.run('up', STACK);
    assert.deepEqual(
      engine.cloud.calls.slice(calls).flatMap(({ operation, urn }) => (urn === old.urn ? [operation] : [])),
      ['create', 'delete'],
    );
    assert.equal(mount('euw2-az1').id, kept.id);
    assert.notEqual(mount('euw2-az2').id, old.id);
    assert.equal(mount('euw2-az2').properties.subnetId, 'subnet-0a1b2c3d4e5f60733');
  });

  it('finds by refresh what somebody changed or deleted by hand, and puts it right', async () => {
    const versioning = () => named('aws:s3/bucketVersioning:BucketVersioning', 'st-marys-datasets-versioning');
    const rule = () =>
      named('aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule', 'st-marys-workspace-from-clients');
    engine.cloud.change(versioning(), { versioningConfiguration: { status: 'Suspended' } });
    engine.cloud.forget(rule());
    const drift = await engine.run('refresh', STACK);
    assert.deepEqual([drift.update, drift.delete], [1, 1]);
    const mended = await engine.run('up', STACK);
    assert.deepEqual([mended.update, mended.create], [1, 1]);
    assert.deepEqual(versioning().properties.versioningConfiguration, { status: 'Enabled' });
    assert.equal(rule().properties.fromPort, 2049);
  });

  it('keeps the workspace with its key, policy and backups when it is destroyed and they are to be retained', async () => {
    engine.configure(STACK, { retainWorkspaceOnDelete: true });
    const { update, replace, create } = await engine.run('up', STACK);
    assert.deepEqual({ update, replace, create }, { update: undefined, replace: undefined, create: undefined });
    await engine.run('destroy', STACK);
    assert.deepEqual(engine.state(STACK), []);
    assert.deepEqual(engine.cloud.objects.map(({ type }) => type).sort(), [
      'aws:efs/backupPolicy:BackupPolicy',
      'aws:efs/fileSystem:FileSystem',
      'aws:efs/fileSystemPolicy:FileSystemPolicy',
      'aws:kms/key:Key',
    ]);
  });
});
