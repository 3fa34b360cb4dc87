import { denyWithoutTls, type PolicyDocument, policyDocument, type Statement } from './policy-document';

/**
 * What holds for everybody on a bucket of patient images, whatever their own rights are: TLS 1.2 or newer, and every
 * object encrypted with the bucket's key. It only denies; who may read is decided by the roles of the site.
 *
 * @param bucketArn ARN of the bucket, from the resource, so that the partition is right
 * @param keyArn ARN of the KMS key of the bucket
 */
export function datasetBucketPolicy(bucketArn: string, keyArn: string): PolicyDocument {
  const bucketAndObjects = [bucketArn, `${bucketArn}/*`];
  return policyDocument(
    denyWithoutTls('s3:*', bucketAndObjects),
    {
      Sid: 'DenyOldTls',
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:*',
      Resource: bucketAndObjects,
      Condition: { NumericLessThan: { 's3:TlsVersion': '1.2' } },
    },
    denyUpload('DenyOtherEncryption', bucketArn, 's3:x-amz-server-side-encryption', 'aws:kms'),
    denyUpload('DenyOtherKey', bucketArn, 's3:x-amz-server-side-encryption-aws-kms-key-id', keyArn),
  );
}

/**
 * Only of uploads that name an encryption: one that does not gets the bucket's own, and that is the right one. A negated operator
 * matches where its key is missing, with `IfExists` too, so the key must be asked for (IAM user guide, "Null condition operator").
 */
function denyUpload(sid: string, bucketArn: string, header: string, only: string): Statement {
  return {
    Sid: sid,
    Effect: 'Deny',
    Principal: '*',
    Action: 's3:PutObject',
    Resource: `${bucketArn}/*`,
    Condition: { StringNotEquals: { [header]: only }, Null: { [header]: 'false' } },
  };
}
