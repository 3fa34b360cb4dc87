import assert from 'node:assert/strict';
import * as pulumi from '@pulumi/pulumi';
import { DatasetBucket, type DatasetBucketArgs } from '../../components/dataset-bucket';
import { DeploymentInputError } from '../../components/faults';
import { WorkspaceFileSystem, type WorkspaceFileSystemArgs } from '../../components/workspace-file-system';

const TWO_SUBNETS = { 'euw2-az1': 'subnet-0123456789abcdef0', 'euw2-az2': 'subnet-0123456789abcdef1' };
const WORKSPACE: WorkspaceFileSystemArgs = { vpcId: 'vpc-0123456789abcdef0', subnets: TWO_SUBNETS };

function refusal(construct: () => unknown): DeploymentInputError {
  try {
    construct();
  } catch (error) {
    assert.ok(error instanceof DeploymentInputError, String(error));
    return error;
  }
  assert.fail('it was accepted');
}

const workspace = (args: object) => refusal(() => new WorkspaceFileSystem('w', { ...WORKSPACE, ...args }));
const paths = ({ faults }: DeploymentInputError) => faults.map(({ path }) => path).sort();

describe('arguments of a component', () => {
  it('are refused with every fault at once, before anything is registered', () => {
    const args = { keyArn: 'alias/mine', noncurrentVersionDays: 0, unfinishedUploadDays: 1.5, retain: true };
    const error = refusal(() => new DatasetBucket('d', args as DatasetBucketArgs));
    assert.deepEqual(paths(error), ['keyArn', 'noncurrentVersionDays', 'retain', 'unfinishedUploadDays']);
    assert.match(error.message, /^DatasetBucket d has 4 faults:\n/);
    assert.match(error.message, /keyArn \("alias\/mine"\): must be the ARN of a KMS key/);
    assert.match(error.message, /noncurrentVersionDays \(0\): must be at least 1 day/);
    assert.match(error.message, /retain \(true\): is not known here/);
  });

  it('are shown to the user without a stack trace', () => {
    const error = workspace({ vpcId: 'x' });
    assert.ok(pulumi.RunError.isInstance(error));
    assert.equal(error.stack, '');
  });

  it('may be outputs where a value is known only later', () => {
    const error = refusal(
      () => new WorkspaceFileSystem('w', { ...WORKSPACE, vpcId: pulumi.output('anything AWS will check') }),
    );
    assert.deepEqual(paths(error), ['provider']);
  });

  it('need two zones, named by id, each with a subnet of its own', () => {
    const subnet = TWO_SUBNETS['euw2-az1'];
    assert.match(workspace({ subnets: { 'euw2-az1': subnet } }).message, /at least two zones/);
    assert.match(
      workspace({ subnets: { ...TWO_SUBNETS, 'eu-west-2c': 'subnet-0123456789abcdef2' } }).message,
      /zone id/,
    );
    assert.match(workspace({ subnets: { 'euw2-az1': subnet, 'euw2-az2': subnet } }).message, /subnet of its own/);
    assert.deepEqual(paths(workspace({ subnets: { ...TWO_SUBNETS, 'euw2-az3': 'sn-1' } })), ['subnets.euw2-az3']);
  });
});

describe('provider of a component', () => {
  for (const [name, construct] of [
    ['DatasetBucket', () => new DatasetBucket('d')],
    ['WorkspaceFileSystem', () => new WorkspaceFileSystem('w', WORKSPACE)],
  ] as const) {
    it(`must be given explicitly to ${name}`, () => {
      assert.match(
        refusal(construct).message,
        new RegExp(`^${name} .*\n  provider: an explicit aws provider is required`),
      );
    });
  }
});
