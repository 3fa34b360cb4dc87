import * as pulumi from '@pulumi/pulumi';
import * as aws from './aws';
import type { PolicyDocument } from './policy-document';

export interface ClosedBucketOptions {
  /** A KMS key, or S3's own keys for the services that can write with nothing else. */
  readonly encryption: 'AES256' | { readonly keyArn: pulumi.Input<string> };
  readonly policy: (bucketArn: string) => pulumi.Input<PolicyDocument>;
  readonly lifecycle: readonly aws.types.input.s3.BucketLifecycleConfigurationRule[];
  /** Whether a destroy deletes what is inside. */
  readonly forceDestroy: boolean;
  /** Keeps every version; cannot be taken back. @default never, once `Enabled` */
  readonly objectLockEnabled?: boolean;
}

/** What all buckets of the platform have in common: versioned, closed to the public, owned, TLS only, and finite. */
export function closedBucket(
  name: string,
  { encryption, policy, lifecycle, forceDestroy, objectLockEnabled }: ClosedBucketOptions,
  child: pulumi.CustomResourceOptions,
): { readonly bucket: aws.s3.Bucket; readonly policy: aws.s3.BucketPolicy } {
  // What the bucket itself must outlive or wait for (`dependsOn`) concerns it alone; its parts follow it.
  const part = { ...child, dependsOn: undefined };
  const bucket = new aws.s3.Bucket(name, { forceDestroy, ...(objectLockEnabled && { objectLockEnabled }) }, child);
  const versioning = new aws.s3.BucketVersioning(
    `${name}-versioning`,
    { bucket: bucket.bucket, versioningConfiguration: { status: 'Enabled' } },
    part,
  );
  new aws.s3.BucketServerSideEncryptionConfiguration(
    `${name}-encryption`,
    {
      bucket: bucket.bucket,
      rules: [
        encryption === 'AES256'
          ? { applyServerSideEncryptionByDefault: { sseAlgorithm: 'AES256' } }
          : {
              applyServerSideEncryptionByDefault: { sseAlgorithm: 'aws:kms', kmsMasterKeyId: encryption.keyArn },
              bucketKeyEnabled: true, // one KMS request a while instead of one an object
            },
      ],
    },
    part,
  );
  new aws.s3.BucketOwnershipControls(
    `${name}-ownership`,
    { bucket: bucket.bucket, rule: { objectOwnership: 'BucketOwnerEnforced' } },
    part,
  );
  const closed = new aws.s3.BucketPublicAccessBlock(
    `${name}-public-access`,
    {
      bucket: bucket.bucket,
      blockPublicAcls: true,
      blockPublicPolicy: true,
      ignorePublicAcls: true,
      restrictPublicBuckets: true,
    },
    part,
  );
  // S3 refuses two changes of a bucket's access at the same time ("OperationAborted"), hence one after the other.
  const bucketPolicy = new aws.s3.BucketPolicy(
    `${name}-policy`,
    { bucket: bucket.bucket, policy: pulumi.jsonStringify(bucket.arn.apply(policy)) },
    { ...part, dependsOn: [closed] },
  );
  // Rules about noncurrent versions are refused before versioning is on.
  new aws.s3.BucketLifecycleConfiguration(
    `${name}-lifecycle`,
    { bucket: bucket.bucket, rules: [...lifecycle] },
    { ...part, dependsOn: [versioning] },
  );
  return { bucket, policy: bucketPolicy };
}
