import { allow, type PolicyDocument, policyDocument } from '../policy-document';

/**
 * Roles that deployments make lie below one path, so that what holds for them touches no role that an account had before: the
 * deployment role makes, changes and hands over no other, and a resource control policy lets nobody else take them.
 */
export const MADE_ROLE_PATH = '/clara-federation/';

/** ARN pattern of the roles of deployments, in every account with `*`. */
export function madeRoles(partition: string, accountId = '*'): string {
  return `arn:${partition}:iam::${accountId}:role${MADE_ROLE_PATH}*`;
}

/** Name of the policy that is the boundary of what a deployment role makes; it lies beside the role. */
export function madeRolesBoundaryName(deploymentRole: string): string {
  return `${deploymentRole}-roles`;
}

/** ARN of that policy. @param deploymentRoleArn ARN of a role */
export function madeRolesBoundaryArn(deploymentRoleArn: string): string {
  return madeRolesBoundaryName(deploymentRoleArn.replace(':role/', ':policy/'));
}

/** Largest managed policy that IAM takes, without white space (IAM user guide, "IAM and AWS STS quotas"). */
export const POLICY_MOST_CHARACTERS = 6144;

/** What tasks do with stores of their own account, and of no other one: nothing is carried out with the rights of a task. */
const STORE_ACTIONS = [
  'kms:Decrypt',
  'kms:DescribeKey',
  'kms:Encrypt',
  'kms:GenerateDataKey',
  's3:AbortMultipartUpload',
  's3:DeleteObject',
  's3:GetObject',
  's3:GetObjectVersion',
  's3:ListBucket',
  's3:ListBucketMultipartUploads',
  's3:PutObject',
  'secretsmanager:DescribeSecret',
  'secretsmanager:GetSecretValue',
  'secretsmanager:PutSecretValue',
] as const;

/** What else tasks, instances and flow logs do. */
const RUN_ACTIONS = [
  'ecr:BatchCheckLayerAvailability',
  'ecr:BatchGetImage',
  'ecr:GetAuthorizationToken',
  'ecr:GetDownloadUrlForLayer',
  'ecs:DeregisterContainerInstance',
  'ecs:DescribeClusters',
  'ecs:DescribeTasks',
  'ecs:DiscoverPollEndpoint',
  'ecs:ListTasks',
  'ecs:Poll',
  'ecs:RegisterContainerInstance',
  'ecs:RunTask',
  'ecs:StartTelemetrySession',
  'ecs:StopTask',
  'ecs:SubmitAttachmentStateChanges',
  'ecs:SubmitContainerStateChange',
  'ecs:SubmitTaskStateChange',
  'ecs:TagResource',
  'ecs:UpdateContainerInstancesState',
  'elasticfilesystem:ClientMount',
  'elasticfilesystem:ClientWrite',
  'logs:CreateLogStream',
  'logs:DescribeLogGroups',
  'logs:DescribeLogStreams',
  'logs:GetLogEvents',
  'logs:PutLogEvents',
  'ssm:UpdateInstanceInformation',
  'ssmmessages:CreateControlChannel',
  'ssmmessages:CreateDataChannel',
  'ssmmessages:OpenControlChannel',
  'ssmmessages:OpenDataChannel',
] as const;

/**
 * The ceiling of every role that a deployment makes: what the platform's tasks do, whatever a plan gives them. None makes roles, opens
 * a bucket, changes a network, or reaches a store of another account.
 */
export function madeRolesBoundary(partition: string, accountId: string): PolicyDocument {
  return policyDocument(
    allow('CeilingOfStores', STORE_ACTIONS, '*', { StringEquals: { 'aws:ResourceAccount': accountId } }),
    allow('CeilingOfTasks', RUN_ACTIONS, '*'),
    allow('CeilingOfHandOver', 'iam:PassRole', madeRoles(partition, accountId)),
  );
}
