import * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';
import { closedBucket } from '../closed-bucket';
import { requireAwsProvider } from '../explicit-provider';
import { placeOf } from '../place';
import { denyWithoutTls, type PolicyDocument, policyDocument } from '../policy-document';

export interface AuditTrailArgs {
  /** Every management call of an organisation, or who read and wrote the objects of one bucket. */
  readonly scope:
    | { readonly kind: 'organization'; readonly organizationId: string }
    | { readonly kind: 'objects'; readonly bucketArn: pulumi.Input<string> };
  /** Days for which nobody can delete a record: Object Lock in compliance mode, which holds for the root user too. */
  readonly retentionDays: number;
  readonly keyArn: pulumi.Input<string>;
  readonly protect: boolean;
}

/** A record of what was done, which cannot be edited (CloudTrail with digests, in a bucket with Object Lock). */
export class AuditTrail extends pulumi.ComponentResource {
  public readonly bucketName: pulumi.Output<string>;
  public readonly trailArn: pulumi.Output<string>;

  /** @throws DeploymentInputError without an explicit aws provider */
  constructor(name: string, args: AuditTrailArgs, opts?: pulumi.ComponentResourceOptions) {
    requireAwsProvider(`AuditTrail ${name}`, opts);
    super('clara-federation:operations:AuditTrail', name, {}, opts);
    const { scope, retentionDays, keyArn, protect } = args;
    const child = { parent: this };
    const { partition, region, accountId } = placeOf(this);
    // The policy of the bucket names the trail, which needs the bucket: so the name of the trail is fixed.
    const trailName = `clara-federation-${name}`;
    const trailArn = pulumi.interpolate`arn:${partition}:cloudtrail:${region}:${accountId}:trail/${trailName}`;
    const owner = scope.kind === 'organization' ? scope.organizationId : undefined;
    const { bucket, policy } = closedBucket(
      name,
      {
        encryption: { keyArn },
        forceDestroy: false,
        objectLockEnabled: true,
        policy: (bucketArn) =>
          pulumi
            .all([trailArn, accountId])
            .apply(([trail, account]) => auditBucketPolicy(bucketArn, trail, account, owner)),
        lifecycle: [
          {
            id: 'old-records',
            status: 'Enabled',
            filter: { prefix: '' },
            transitions: [{ days: 90, storageClass: 'GLACIER_IR' }],
            expiration: { days: Math.max(retentionDays, 91) },
            noncurrentVersionExpiration: { noncurrentDays: 30 },
          },
        ],
      },
      { ...child, protect },
    );
    const lock = new aws.s3.BucketObjectLockConfiguration(
      `${name}-lock`,
      { bucket: bucket.bucket, rule: { defaultRetention: { mode: 'COMPLIANCE', days: retentionDays } } },
      child,
    );
    const trail = new aws.cloudtrail.Trail(
      name,
      {
        name: trailName,
        s3BucketName: bucket.bucket,
        kmsKeyId: keyArn,
        enableLogFileValidation: true,
        includeGlobalServiceEvents: scope.kind === 'organization',
        isMultiRegionTrail: scope.kind === 'organization',
        isOrganizationTrail: scope.kind === 'organization',
        advancedEventSelectors: selectors(scope),
      },
      { ...child, dependsOn: [policy, lock] },
    );
    this.bucketName = bucket.bucket;
    this.trailArn = trail.arn;
    this.registerOutputs({ bucketName: this.bucketName, trailArn: this.trailArn });
  }
}

function selectors(scope: AuditTrailArgs['scope']): aws.types.input.cloudtrail.TrailAdvancedEventSelector[] {
  if (scope.kind === 'organization') {
    return [{ name: 'calls', fieldSelectors: [{ field: 'eventCategory', equals: ['Management'] }] }];
  }
  return [
    {
      name: 'objects',
      fieldSelectors: [
        { field: 'eventCategory', equals: ['Data'] },
        { field: 'resources.type', equals: ['AWS::S3::Object'] },
        { field: 'resources.ARN', startsWiths: [pulumi.interpolate`${scope.bucketArn}/`] },
      ],
    },
  ];
}

/**
 * Only this trail writes (CloudTrail user guide, "Amazon S3 bucket policy for CloudTrail"), and nobody deletes: Object Lock keeps the
 * versions, but a delete marker would hide them.
 */
export function auditBucketPolicy(
  bucketArn: string,
  trailArn: string,
  accountId: string,
  organizationId: string | undefined,
): PolicyDocument {
  const condition = { StringEquals: { 'aws:SourceArn': trailArn } };
  const service = { Service: 'cloudtrail.amazonaws.com' };
  const owners = [accountId, ...(organizationId === undefined ? [] : [organizationId])];
  return policyDocument(
    denyWithoutTls('s3:*', [bucketArn, `${bucketArn}/*`]),
    {
      Sid: 'DenyDeletingRecords',
      Effect: 'Deny',
      Principal: '*',
      Action: ['s3:DeleteObject', 's3:DeleteObjectVersion'],
      Resource: `${bucketArn}/*`,
    },
    {
      Sid: 'DenyForgingRecords',
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:PutObject',
      Resource: `${bucketArn}/*`,
      Condition: { StringNotEquals: { 'aws:SourceArn': trailArn } },
    },
    {
      Sid: 'TrailLooks',
      Effect: 'Allow',
      Principal: service,
      Action: 's3:GetBucketAcl',
      Resource: bucketArn,
      Condition: condition,
    },
    {
      Sid: 'TrailWrites',
      Effect: 'Allow',
      Principal: service,
      Action: 's3:PutObject',
      Resource: owners.map((owner) => `${bucketArn}/AWSLogs/${owner}/*`),
      Condition: condition,
    },
  );
}
