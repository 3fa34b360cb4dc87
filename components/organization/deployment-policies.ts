import { allow, type PolicyDocument, policyDocument, type Statement } from '../policy-document';
import { MADE_ROLE_PATH, madeRoles, madeRolesBoundaryArn } from './made-roles';

/**
 * What a deployment may do in an account, and its ceiling. Deployments make everything, so their identity is wide; what they must
 * never do themselves is in the boundary. The roles that they make have a boundary of their own (`made-roles.ts`), without which they
 * cannot be made, and who may take them is the organisation's (`madeRolePerimeter`).
 */

/** Services that the components use. */
const PLATFORM_ACTIONS = [
  'application-autoscaling:*',
  'autoscaling:*',
  'backup:*',
  'budgets:*',
  'cloudtrail:*',
  'cloudwatch:*',
  'ec2:*',
  'ecr:*',
  'ecs:*',
  'elasticfilesystem:*',
  'elasticloadbalancing:*',
  'iam:Get*',
  'iam:List*',
  'kms:*',
  'logs:*',
  'route53:*',
  's3:*',
  'secretsmanager:*',
  'sns:*',
  'ssm:GetParameter',
  'ssm:GetParameters',
  'tag:*',
  'acm:DescribeCertificate',
  'sts:GetCallerIdentity',
] as const;

/** Whatever gives a role rights, or takes its boundary's place. */
const BOUND_ACTIONS = [
  'iam:AttachRolePolicy',
  'iam:CreateRole',
  'iam:PutRolePermissionsBoundary',
  'iam:PutRolePolicy',
] as const;

export function deploymentPolicy(partition: string, accountId: string, deploymentRole: string): PolicyDocument {
  const roles = madeRoles(partition, accountId);
  const boundary = madeRolesBoundaryArn(`arn:${partition}:iam::${accountId}:role/${deploymentRole}`);
  const profiles = `arn:${partition}:iam::${accountId}:instance-profile${MADE_ROLE_PATH}*`;
  return policyDocument(
    allow('BuildPlatform', PLATFORM_ACTIONS, '*'),
    allow('MakeBoundRoles', ['iam:CreateRole', 'iam:PutRolePermissionsBoundary', 'iam:PutRolePolicy'], roles, {
      StringEquals: { 'iam:PermissionsBoundary': boundary },
    }),
    allow(
      'KeepRoles',
      [
        'iam:AddRoleToInstanceProfile',
        'iam:CreateInstanceProfile',
        'iam:DeleteInstanceProfile',
        'iam:DeleteRole',
        'iam:DeleteRolePolicy',
        'iam:RemoveRoleFromInstanceProfile',
        'iam:TagInstanceProfile',
        'iam:TagRole',
        'iam:UntagRole',
        'iam:UpdateAssumeRolePolicy',
        'iam:UpdateRole',
      ],
      [roles, profiles],
    ),
    allow('HandOverRoles', 'iam:PassRole', roles, {
      StringEquals: {
        'iam:PassedToService': [
          'ecs-tasks.amazonaws.com',
          'ec2.amazonaws.com',
          'vpc-flow-logs.amazonaws.com',
          'cloudtrail.amazonaws.com',
        ],
      },
    }),
    allow('ServiceRoles', 'iam:CreateServiceLinkedRole', `arn:${partition}:iam::${accountId}:role/aws-service-role/*`),
  );
}

/** Ways to data that a deployment has no need of, with any right of its own. */
export const READING_DATA = [
  's3:GetObject',
  's3:GetObjectVersion',
  's3:PutObject',
  'elasticfilesystem:ClientMount',
  'elasticfilesystem:ClientWrite',
  'elasticfilesystem:ClientRootAccess',
  'ecs:ExecuteCommand',
  'ssm:SendCommand',
  'ssm:StartSession',
] as const;

/** The ceiling of the deployment role: whoever deploys a hospital's site never sees what lies in it. */
export function deploymentBoundary(partition: string, accountId: string, deploymentRole: string): PolicyDocument {
  const role = `arn:${partition}:iam::${accountId}:role/${deploymentRole}`;
  const boundaryOfOthers = madeRolesBoundaryArn(role);
  const self = [role, `arn:${partition}:iam::${accountId}:policy/${deploymentRole}-boundary`, boundaryOfOthers];
  const never = (
    Sid: string,
    Action: readonly string[],
    where: Pick<Statement, 'Resource' | 'NotResource' | 'Condition'> = { Resource: '*' },
  ): Statement => ({ Sid, Effect: 'Deny', Action, ...where });
  const decrypting = ['kms:Decrypt', 'kms:ReEncryptFrom'];
  return policyDocument(
    allow('BoundaryCeiling', '*', '*'),
    never('NeverReadData', READING_DATA),
    // Only what load balancers wrote goes with its bucket; other buckets are emptied by the hospital, or stay.
    never('NeverDeleteData', ['s3:DeleteObject', 's3:DeleteObjectVersion'], {
      NotResource: `arn:${partition}:s3:::*-annotation-access-*`,
    }),
    // File systems, disks and secrets are made with keys, through their services; nothing is to be read with them.
    never('NeverDecrypt', decrypting, { Resource: '*', Condition: { Null: { 'kms:ViaService': 'true' } } }),
    never('NeverDecryptObjects', decrypting, {
      Resource: '*',
      Condition: { StringLike: { 'kms:ViaService': 's3.*' } },
    }),
    // Programs and people put these in and read them; whoever deploys makes and names them.
    never(
      'NeverUseKeys',
      ['secretsmanager:BatchGetSecretValue', 'secretsmanager:GetSecretValue', 'secretsmanager:PutSecretValue'],
      {
        Resource: ['invitation', 'coordinator-authority', 'coordinator-operator'].map(
          (secret) => `arn:${partition}:secretsmanager:*:${accountId}:secret:*-${secret}-*`,
        ),
      },
    ),
    never('NeverReadLogs', [
      'logs:CreateExportTask',
      'logs:FilterLogEvents',
      'logs:GetLogEvents',
      'logs:GetLogRecord',
      'logs:PutSubscriptionFilter',
      'logs:StartLiveTail',
      'logs:StartQuery',
    ]),
    never('NeverStopRecords', ['cloudtrail:StopLogging']),
    // A negated operator matches where its key is missing, so this holds for a role without a boundary, too.
    never('NeverMakeUnboundRoles', BOUND_ACTIONS, {
      Resource: '*',
      Condition: { StringNotEquals: { 'iam:PermissionsBoundary': boundaryOfOthers } },
    }),
    never('NeverUnbindRoles', ['iam:DeleteRolePermissionsBoundary']),
    never('NeverMakePeople', ['iam:CreateUser', 'iam:CreateAccessKey', 'iam:CreateLoginProfile']),
    never('NeverWidenItself', ['iam:*'], { Resource: self }),
    never('NeverOtherAccounts', ['organizations:*', 'account:*', 'sts:AssumeRole']),
  );
}

/** Who may deploy: the named roles, from inside the organisation. */
export function deploymentTrust(deployerArns: readonly string[], organizationId: string): PolicyDocument {
  return policyDocument({
    Sid: 'DeployersOfTheOrganization',
    Effect: 'Allow',
    Principal: { AWS: [...deployerArns].sort() },
    Action: ['sts:AssumeRole', 'sts:TagSession'],
    Condition: { StringEquals: { 'aws:PrincipalOrgID': organizationId } },
  });
}
