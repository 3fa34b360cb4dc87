import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import { closedBucket } from './closed-bucket';
import { dataKey } from './data-key';
import { datasetBucketPolicy } from './dataset-bucket-policy';
import { requireAwsProvider } from './explicit-provider';
import { checked } from './faults';
import { days, KMS_KEY_ARN, textInput } from './input-rules';

export interface DatasetBucketArgs {
  /** ARN of the KMS key that encrypts the objects. @default a key of its own, rotated every year */
  readonly keyArn?: pulumi.Input<string>;
  /** Days for which an overwritten or deleted object can be brought back, 1 to 3650. @default 30 */
  readonly noncurrentVersionDays?: number;
  /** Days after which the parts of an unfinished upload are removed, 1 to 3650. @default 7 */
  readonly unfinishedUploadDays?: number;
}

const ARGUMENTS = z.strictObject({
  keyArn: textInput(KMS_KEY_ARN, 'must be the ARN of a KMS key').optional(),
  noncurrentVersionDays: days.default(30),
  unfinishedUploadDays: days.default(7),
});

/**
 * The bucket of a site's datasets: versioned, encrypted with one KMS key, closed to the public, reachable over TLS only.
 *
 * It is never emptied: a destroy fails on a bucket that holds objects, and because the bucket depends on its key, the
 * key is then still there.
 */
export class DatasetBucket extends pulumi.ComponentResource {
  public readonly bucketName: pulumi.Output<string>;
  public readonly bucketArn: pulumi.Output<string>;
  /** The key that a reader of the datasets needs `kms:Decrypt` on. */
  public readonly keyArn: pulumi.Output<string>;

  /** @throws DeploymentInputError on a broken argument or without an explicit aws provider */
  constructor(name: string, args: DatasetBucketArgs = {}, opts?: pulumi.ComponentResourceOptions) {
    const what = `DatasetBucket ${name}`;
    const { keyArn, noncurrentVersionDays, unfinishedUploadDays } = checked(what, ARGUMENTS, args);
    requireAwsProvider(what, opts);
    super('clara-federation:storage:DatasetBucket', name, {}, opts);
    const child = { parent: this };

    const ownKey =
      keyArn === undefined
        ? dataKey(`${name}-key`, { description: `Datasets in ${name}`, retainOnDelete: false, ...child })
        : undefined;
    this.keyArn = pulumi.output(keyArn ?? ownKey!.arn);

    // The bucket itself does not mention the key. Without this edge a destroy would give up the key first, and the data
    // with it, before S3 refuses to delete a bucket that is not empty.
    const { bucket } = closedBucket(
      name,
      {
        encryption: { keyArn: this.keyArn },
        forceDestroy: false,
        policy: (bucketArn) => this.keyArn.apply((key) => datasetBucketPolicy(bucketArn, key)),
        lifecycle: [
          {
            id: 'unfinished-uploads',
            status: 'Enabled',
            filter: { prefix: '' },
            abortIncompleteMultipartUpload: { daysAfterInitiation: unfinishedUploadDays },
          },
          {
            id: 'noncurrent-versions',
            status: 'Enabled',
            filter: { prefix: '' },
            expiration: { expiredObjectDeleteMarker: true },
            noncurrentVersionExpiration: { noncurrentDays: noncurrentVersionDays },
          },
        ],
      },
      { ...child, dependsOn: ownKey ? [ownKey] : [] },
    );

    this.bucketName = bucket.bucket;
    this.bucketArn = bucket.arn;
    this.registerOutputs({ bucketName: this.bucketName, bucketArn: this.bucketArn, keyArn: this.keyArn });
  }
}
