import type * as pulumi from '@pulumi/pulumi';
import type * as aws from '../aws';
import { closedBucket } from '../closed-bucket';
import { placeOf } from '../place';
import { denyWithoutTls, type PolicyDocument, policyDocument } from '../policy-document';

/**
 * Where a load balancer writes who called. Load balancers write with S3's own keys only (ELB user guide, "Access logs for your
 * Application Load Balancer": SSE-S3 is the only encryption), so this bucket alone has no KMS key; nothing of a patient is in it.
 */
export function accessLogBucket(
  name: string,
  { days }: { readonly days: number },
  child: { readonly parent: pulumi.Resource },
): { readonly bucket: aws.s3.Bucket; readonly policy: aws.s3.BucketPolicy } {
  const { accountId } = placeOf(child.parent);
  return closedBucket(
    name,
    {
      encryption: 'AES256',
      forceDestroy: true,
      policy: (bucketArn) => accountId.apply((account) => accessLogPolicy(bucketArn, account)),
      lifecycle: [
        {
          id: 'old-logs',
          status: 'Enabled',
          filter: { prefix: '' },
          expiration: { days },
          noncurrentVersionExpiration: { noncurrentDays: 1 },
        },
      ],
    },
    child,
  );
}

export function accessLogPolicy(bucketArn: string, accountId: string): PolicyDocument {
  return policyDocument(denyWithoutTls('s3:*', [bucketArn, `${bucketArn}/*`]), {
    Sid: 'LoadBalancersOfThisAccount',
    Effect: 'Allow',
    Principal: { Service: 'logdelivery.elasticloadbalancing.amazonaws.com' },
    Action: 's3:PutObject',
    Resource: `${bucketArn}/AWSLogs/${accountId}/*`,
    Condition: { StringEquals: { 'aws:SourceAccount': accountId } },
  });
}
