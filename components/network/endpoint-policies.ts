import { type PolicyDocument, policyDocument } from '../policy-document';

/**
 * What may pass through the endpoints of a site: calls of this account's identities, so that credentials of somebody else that
 * were carried in cannot carry data out.
 */
export function ownAccountEndpointPolicy(accountId: string): PolicyDocument {
  return policyDocument(ownAccount(accountId));
}

/** As {@link ownAccountEndpointPolicy}, and the layers of container images, which ECR hands out under identities of its own. */
export function storageEndpointPolicy(partition: string, region: string, accountId: string): PolicyDocument {
  return policyDocument(ownAccount(accountId), {
    Sid: 'ImageLayers',
    Effect: 'Allow',
    Principal: '*',
    Action: 's3:GetObject',
    // ECR user guide, "Minimum Amazon S3 bucket permissions for Amazon ECR".
    Resource: `arn:${partition}:s3:::prod-${region}-starport-layer-bucket/*`,
  });
}

function ownAccount(accountId: string) {
  return {
    Sid: 'OwnAccountOnly',
    Effect: 'Allow',
    Principal: '*',
    Action: '*',
    Resource: '*',
    Condition: { StringEquals: { 'aws:PrincipalAccount': accountId } },
  } as const;
}
