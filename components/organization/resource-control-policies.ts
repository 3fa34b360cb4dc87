import { type PolicyDocument, policyDocument } from '../policy-document';
import { madeRoles } from './made-roles';
import type { GuardRails } from './service-control-policies';

/**
 * Resource control policies: who from outside can touch the resources of a member account, whatever a resource's own policy says.
 * They see S3, KMS, Secrets Manager, SQS, STS and ECR ("Resource control policies", Organizations user guide).
 */
export function organizationPerimeter(organizationId: string): PolicyDocument {
  return policyDocument(
    {
      Sid: 'DenyOtherOrganizations',
      Effect: 'Deny',
      Principal: '*',
      Action: ['s3:*', 'kms:*', 'secretsmanager:*', 'sqs:*'],
      Resource: '*',
      Condition: {
        StringNotEqualsIfExists: { 'aws:PrincipalOrgID': organizationId },
        // Services act for this organisation's accounts: load balancer logs, trails, alarms.
        BoolIfExists: { 'aws:PrincipalIsAWSService': 'false' },
      },
    },
    {
      Sid: 'DenyDeceivedServices',
      Effect: 'Deny',
      Principal: '*',
      Action: ['s3:*', 'kms:*', 'secretsmanager:*', 'sqs:*'],
      Resource: '*',
      Condition: {
        StringNotEqualsIfExists: { 'aws:SourceOrgID': organizationId },
        Bool: { 'aws:PrincipalIsAWSService': 'true' },
        Null: { 'aws:SourceAccount': 'false' },
      },
    },
    {
      Sid: 'DenyWithoutTls',
      Effect: 'Deny',
      Principal: '*',
      Action: ['s3:*', 'secretsmanager:*', 'sqs:*'],
      Resource: '*',
      Condition: { BoolIfExists: { 'aws:SecureTransport': 'false' } },
    },
  );
}

/** Hospitals do not read each other, even where both belong to the organisation: data answer only to their own account. */
export function hospitalPerimeter(): PolicyDocument {
  return policyDocument({
    Sid: 'DenyOtherAccounts',
    Effect: 'Deny',
    Principal: '*',
    Action: ['s3:*', 'kms:*', 'secretsmanager:*', 'sqs:*'],
    Resource: '*',
    Condition: {
      // A policy variable: the account that the resource is in, one policy for all hospitals.
      // biome-ignore lint/suspicious/noTemplateCurlyInString: IAM fills it in, not JavaScript.
      StringNotEqualsIfExists: { 'aws:PrincipalAccount': '${aws:ResourceAccount}' },
      BoolIfExists: { 'aws:PrincipalIsAWSService': 'false' },
    },
  });
}

/**
 * Roles of an account that the organisation made are taken from inside it alone, whatever their trust says. Two are taken from
 * elsewhere by design.
 */
export function rolePerimeter({ partition, deploymentRole, memberRole }: GuardRails): PolicyDocument {
  return policyDocument({
    Sid: 'DenyRolesToOtherAccounts',
    Effect: 'Deny',
    Principal: '*',
    Action: 'sts:AssumeRole',
    NotResource: [`arn:${partition}:iam::*:role/${deploymentRole}`, `arn:${partition}:iam::*:role/${memberRole}`],
    Condition: {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: IAM fills it in, not JavaScript.
      StringNotEqualsIfExists: { 'aws:PrincipalAccount': '${aws:ResourceAccount}' },
      BoolIfExists: { 'aws:PrincipalIsAWSService': 'false' },
    },
  });
}

/**
 * Roles that deployments make are taken by their own account's identities and by services, whatever their trust says: whoever deploys
 * would otherwise hand one, and the data that it reads, to an account, or to a person whom Google knows, of its own. It names
 * these roles alone, so that it holds also where a hospital had roles before, which others may take with good reason.
 */
export function madeRolePerimeter({ partition }: GuardRails): PolicyDocument {
  return policyDocument({
    Sid: 'DenyMadeRolesToOthers',
    Effect: 'Deny',
    Principal: '*',
    Action: ['sts:AssumeRole', 'sts:AssumeRoleWithSAML', 'sts:AssumeRoleWithWebIdentity'],
    Resource: madeRoles(partition),
    Condition: {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: IAM fills it in, not JavaScript.
      StringNotEqualsIfExists: { 'aws:PrincipalAccount': '${aws:ResourceAccount}' },
      BoolIfExists: { 'aws:PrincipalIsAWSService': 'false' },
    },
  });
}
