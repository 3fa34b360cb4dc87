import { denyWithoutTls, type PolicyDocument, policyDocument } from './policy-document';

/** What an NFS client can ask for (EFS user guide, "Using IAM to control file system data access"). */
const CLIENT_ACTIONS = [
  'elasticfilesystem:ClientMount',
  'elasticfilesystem:ClientWrite',
  'elasticfilesystem:ClientRootAccess',
] as const;

/**
 * The policy of a workspace: no client without TLS, none without an IAM identity. It allows nothing. A file system that
 * has a policy without an allow for all is closed to anonymous clients already; the explicit deny keeps it closed when
 * somebody adds one. So the only way in is the right in a task role of the site.
 *
 * @param fileSystemArn ARN of the file system, from the resource, so that the partition is right
 */
export function workspacePolicy(fileSystemArn: string): PolicyDocument {
  return policyDocument(denyWithoutTls(CLIENT_ACTIONS, fileSystemArn), {
    Sid: 'DenyAnonymous',
    Effect: 'Deny',
    Principal: '*',
    Action: CLIENT_ACTIONS,
    Resource: fileSystemArn,
    Condition: { StringEquals: { 'aws:PrincipalType': 'Anonymous' } },
  });
}
