import assert from 'node:assert/strict';
import { dataKeyPolicy } from '../../components/data-key';
import { datasetBucketPolicy } from '../../components/dataset-bucket-policy';
import type { PolicyDocument } from '../../components/policy-document';
import { workspacePolicy } from '../../components/workspace-policy';

const BUCKET = 'arn:aws-us-gov:s3:::st-marys';
const KEY = 'arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/5d6c';
const FILE_SYSTEM = 'arn:aws-us-gov:elasticfilesystem:us-gov-west-1:111122223333:file-system/fs-01234567';

function statement(document: PolicyDocument, sid: string) {
  const found = document.Statement.find(({ Sid }) => Sid === sid);
  assert.ok(found, `there is no statement ${sid}`);
  return found;
}

describe('policy of a dataset bucket', () => {
  const policy = datasetBucketPolicy(BUCKET, KEY);

  it('denies everything to everybody without TLS, on the bucket and on its objects', () => {
    assert.deepEqual(statement(policy, 'DenyWithoutTls'), {
      Sid: 'DenyWithoutTls',
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:*',
      Resource: [BUCKET, `${BUCKET}/*`],
      Condition: { Bool: { 'aws:SecureTransport': 'false' } },
    });
  });

  it('denies TLS before 1.2', () => {
    assert.deepEqual(statement(policy, 'DenyOldTls').Condition, { NumericLessThan: { 's3:TlsVersion': '1.2' } });
  });

  it('denies an upload that names another encryption or another key, and lets one pass that names none', () => {
    assert.deepEqual(statement(policy, 'DenyOtherEncryption').Condition, {
      StringNotEquals: { 's3:x-amz-server-side-encryption': 'aws:kms' },
      Null: { 's3:x-amz-server-side-encryption': 'false' },
    });
    assert.deepEqual(statement(policy, 'DenyOtherKey').Condition, {
      StringNotEquals: { 's3:x-amz-server-side-encryption-aws-kms-key-id': KEY },
      Null: { 's3:x-amz-server-side-encryption-aws-kms-key-id': 'false' },
    });
  });

  it('grants nothing', () => {
    assert.deepEqual(
      policy.Statement.filter(({ Effect }) => Effect !== 'Deny'),
      [],
    );
  });
});

describe('policy of a workspace', () => {
  const policy = workspacePolicy(FILE_SYSTEM);
  const clientActions = [
    'elasticfilesystem:ClientMount',
    'elasticfilesystem:ClientWrite',
    'elasticfilesystem:ClientRootAccess',
  ];

  it('denies every client action without TLS', () => {
    const { Effect, Principal, Action, Resource, Condition } = statement(policy, 'DenyWithoutTls');
    assert.deepEqual([Effect, Principal, Action, Resource], ['Deny', '*', clientActions, FILE_SYSTEM]);
    assert.deepEqual(Condition, { Bool: { 'aws:SecureTransport': 'false' } });
  });

  it('denies every client action to a client without an identity', () => {
    const { Effect, Principal, Action, Condition } = statement(policy, 'DenyAnonymous');
    assert.deepEqual([Effect, Principal, Action], ['Deny', '*', clientActions]);
    assert.deepEqual(Condition, { StringEquals: { 'aws:PrincipalType': 'Anonymous' } });
  });

  it('grants nothing, so that a task role is the only way in', () => {
    assert.equal(
      policy.Statement.every(({ Effect }) => Effect === 'Deny'),
      true,
    );
  });
});

describe('policy of a data key', () => {
  it('names the account in its own partition', () => {
    assert.deepEqual(dataKeyPolicy('aws-cn', '111122223333').Statement[0].Principal, {
      AWS: 'arn:aws-cn:iam::111122223333:root',
    });
  });
});
