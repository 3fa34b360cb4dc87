import { allow, type PolicyDocument, policyDocument, type Statement } from '../policy-document';

/**
 * What a deployment may do in an account, and its ceiling. Deployments make everything, so their identity is wide; what they must
 * never do is in the boundary, and that is inherited by every role that they make.
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

export function deploymentPolicy(partition: string, accountId: string): PolicyDocument {
  const own = (kind: string) => `arn:${partition}:iam::${accountId}:${kind}/*`;
  return policyDocument(
    allow('BuildPlatform', PLATFORM_ACTIONS, '*'),
    allow(
      'MakeRoles',
      [
        'iam:AddRoleToInstanceProfile',
        'iam:CreateInstanceProfile',
        'iam:CreateRole',
        'iam:DeleteInstanceProfile',
        'iam:DeleteRole',
        'iam:DeleteRolePolicy',
        'iam:PutRolePolicy',
        'iam:RemoveRoleFromInstanceProfile',
        'iam:TagInstanceProfile',
        'iam:TagRole',
        'iam:UntagRole',
        'iam:UpdateAssumeRolePolicy',
        'iam:UpdateRole',
      ],
      [own('role'), own('instance-profile')],
    ),
    allow('HandOverRoles', 'iam:PassRole', own('role'), {
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

/** The ceiling of the deployment role: whoever deploys a hospital's site never sees what lies in it. */
export function deploymentBoundary(partition: string, accountId: string, deploymentRole: string): PolicyDocument {
  const self = [
    `arn:${partition}:iam::${accountId}:role/${deploymentRole}`,
    `arn:${partition}:iam::${accountId}:policy/${deploymentRole}-boundary`,
  ];
  const never = (Sid: string, Action: readonly string[], Resource: string | readonly string[] = '*'): Statement => ({
    Sid,
    Effect: 'Deny',
    Action,
    Resource,
  });
  return policyDocument(
    allow('BoundaryCeiling', '*', '*'),
    never('NeverReadData', [
      's3:GetObject',
      's3:GetObjectVersion',
      's3:PutObject',
      'elasticfilesystem:ClientMount',
      'elasticfilesystem:ClientWrite',
      'elasticfilesystem:ClientRootAccess',
      'ecs:ExecuteCommand',
      'ssm:StartSession',
    ]),
    never('NeverReadLogs', ['logs:GetLogEvents', 'logs:FilterLogEvents', 'logs:StartQuery']),
    never('NeverMakePeople', ['iam:CreateUser', 'iam:CreateAccessKey', 'iam:CreateLoginProfile']),
    never('NeverWidenItself', ['iam:*'], self),
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
