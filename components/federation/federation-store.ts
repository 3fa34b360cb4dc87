import * as pulumi from '@pulumi/pulumi';
import { closedBucket } from '../closed-bucket';
import { dataKey } from '../data-key';
import { requireAwsProvider } from '../explicit-provider';
import { AuditTrail } from '../operations/audit-trail';
import { allow, denyWithoutTls, policyDocument, type Statement } from '../policy-document';

export interface FederationStoreArgs {
  /** Neither can be deleted by a destroy of the stack. */
  readonly protect: boolean;
  /** Days for which audit records cannot be deleted. */
  readonly auditRetentionDays: number;
}

/** Objects that were replaced or deleted can be brought back for so long; leases and journals make many of them. */
const NONCURRENT_DAYS = 30;

/** Where a federation keeps what must never be lost: journals and models, and the record of who touched them. */
export class FederationStore extends pulumi.ComponentResource {
  public readonly bucketName: pulumi.Output<string>;
  public readonly bucketArn: pulumi.Output<string>;
  public readonly keyArn: pulumi.Output<string>;
  public readonly auditBucketName: pulumi.Output<string>;

  /** @throws DeploymentInputError without an explicit aws provider */
  constructor(
    name: string,
    { protect, auditRetentionDays }: FederationStoreArgs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    requireAwsProvider(`FederationStore ${name}`, opts);
    super('clara-federation:federation:FederationStore', name, {}, opts);
    const key = dataKey(`${name}-key`, {
      description: `Journals and models in ${name}`,
      users: ['trail'],
      retainOnDelete: true,
      protect,
      parent: this,
    });
    const { bucket } = closedBucket(
      name,
      {
        encryption: { keyArn: key.arn },
        forceDestroy: false,
        policy: (bucketArn) => policyDocument(denyWithoutTls('s3:*', [bucketArn, `${bucketArn}/*`])),
        lifecycle: [
          {
            id: 'unfinished-uploads',
            status: 'Enabled',
            filter: { prefix: '' },
            abortIncompleteMultipartUpload: { daysAfterInitiation: 7 },
          },
          {
            id: 'noncurrent-versions',
            status: 'Enabled',
            filter: { prefix: '' },
            expiration: { expiredObjectDeleteMarker: true },
            noncurrentVersionExpiration: { noncurrentDays: NONCURRENT_DAYS },
          },
        ],
      },
      { parent: this, protect, dependsOn: [key] },
    );
    const audit = new AuditTrail(
      `${name}-audit`,
      {
        scope: { kind: 'objects', bucketArn: bucket.arn },
        retentionDays: auditRetentionDays,
        keyArn: key.arn,
        protect,
      },
      { parent: this },
    );
    this.bucketName = bucket.bucket;
    this.bucketArn = bucket.arn;
    this.keyArn = key.arn;
    this.auditBucketName = audit.bucketName;
    this.registerOutputs({ bucketName: this.bucketName, auditBucketName: this.auditBucketName });
  }
}

/**
 * What a coordinator does with its store: everything with objects, nothing with the bucket. In a bucket that keeps versions it reads on in
 * the version that it opened, which is a right of its own (S3 API, GetObject). docs/operations.md has the same list.
 */
export function storeStatements(bucketArn: string, keyArn: string): Statement[] {
  return [
    allow('FindObjects', ['s3:ListBucket', 's3:ListBucketMultipartUploads'], bucketArn),
    allow(
      'KeepObjects',
      ['s3:GetObject', 's3:GetObjectVersion', 's3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload'],
      `${bucketArn}/*`,
    ),
    allow('EncryptObjects', ['kms:Decrypt', 'kms:GenerateDataKey'], keyArn),
  ];
}
