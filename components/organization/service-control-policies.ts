import { type PolicyDocument, policyDocument, type Statement } from '../policy-document';
import { READING_DATA } from './deployment-policies';

/**
 * Service control policies: what no identity of a member account can do, its administrators included. They bind member accounts
 * only, never the management account, and grant nothing. Five may be attached to a target, each of at most 5,120 characters.
 */

/** Organizations quotas, "Maximum size of a service control policy document". */
export const SCP_MOST_CHARACTERS = 5120;
/** The same for resource control policies. */
export const RCP_MOST_CHARACTERS = 5120;

export interface GuardRails {
  readonly partition: string;
  /** Name of the deployment role in every account. */
  readonly deploymentRole: string;
  /** Role in every account that the organisation's stack works with. */
  readonly memberRole: string;
  readonly allowedRegions: readonly string[];
}

/** Services that are the same everywhere, whose calls carry a region of their own choosing. */
const GLOBAL_ACTIONS = [
  'account:*',
  'budgets:*',
  'ce:*',
  'cloudfront:*',
  'health:*',
  'iam:*',
  'kms:DescribeKey',
  'organizations:*',
  'route53:*',
  'route53domains:*',
  's3:GetAccountPublic*',
  's3:ListAllMyBuckets',
  's3:PutAccountPublic*',
  'shield:*',
  'sts:*',
  'support:*',
  'tag:*',
  'trustedadvisor:*',
  'waf:*',
] as const;

/** For every account of platform and hospitals. */
export function baseline({ partition, deploymentRole, memberRole, allowedRegions }: GuardRails): PolicyDocument {
  return policyDocument(
    {
      Sid: 'DenyOtherRegions',
      Effect: 'Deny',
      NotAction: GLOBAL_ACTIONS,
      Resource: '*',
      Condition: { StringNotEquals: { 'aws:RequestedRegion': allowedRegions } },
    },
    deny('DenyLeaving', ['organizations:LeaveOrganization', 'account:CloseAccount']),
    deny('DenyRootUser', '*', { StringLike: { 'aws:PrincipalArn': `arn:${partition}:iam::*:root` } }),
    deny(
      'DenyBlindingAudit',
      [
        'cloudtrail:DeleteTrail',
        'cloudtrail:StopLogging',
        'cloudtrail:PutEventSelectors',
        'cloudtrail:UpdateTrail',
        'config:DeleteConfigurationRecorder',
        'config:StopConfigurationRecorder',
        'ec2:DeleteFlowLogs',
        'guardduty:DeleteDetector',
      ],
      except(partition, deploymentRole),
    ),
    deny(
      'DenyTouchingDeployment',
      [
        'iam:AttachRolePolicy',
        'iam:CreatePolicyVersion',
        'iam:DeletePolicy',
        'iam:DeleteRole',
        'iam:DeleteRolePermissionsBoundary',
        'iam:DeleteRolePolicy',
        'iam:DetachRolePolicy',
        'iam:PutRolePermissionsBoundary',
        'iam:PutRolePolicy',
        'iam:SetDefaultPolicyVersion',
        'iam:UpdateAssumeRolePolicy',
        'iam:UpdateRole',
      ],
      // The organisation's stack makes the deployment role, in accounts that these rules bind already.
      except(partition, memberRole),
      [
        `arn:${partition}:iam::*:role/${deploymentRole}`,
        `arn:${partition}:iam::*:policy/${deploymentRole}-*`,
        `arn:${partition}:iam::*:role/${memberRole}`,
      ],
    ),
    deny('DenyAccessKeys', ['iam:CreateAccessKey', 'iam:CreateLoginProfile', 'iam:CreateUser']),
    deny('DenyPublicSharing', [
      'ec2:ModifyImageAttribute',
      'ec2:ModifySnapshotAttribute',
      'ram:EnableSharingWithAwsOrganization',
    ]),
  );
}

/** For accounts that hold data: what is encrypted stays encrypted, and what is closed stays closed. */
export function protectData({ partition, deploymentRole }: GuardRails): PolicyDocument {
  const others = except(partition, deploymentRole);
  return policyDocument(
    deny(
      'DenyOpeningBuckets',
      [
        's3:PutAccountPublicAccessBlock',
        's3:PutBucketPublicAccessBlock',
        's3:DeleteBucketPolicy',
        's3:PutBucketAcl',
        's3:PutObjectAcl',
      ],
      others,
    ),
    deny('DenyPlainFileSystems', 'elasticfilesystem:CreateFileSystem', {
      Bool: { 'elasticfilesystem:Encrypted': 'false' },
    }),
    deny(
      'DenyPlainVolumes',
      'ec2:CreateVolume',
      { Bool: { 'ec2:Encrypted': 'false' } },
      `arn:${partition}:ec2:*:*:volume/*`,
    ),
    deny(
      'DenyOldMetadata',
      'ec2:RunInstances',
      { StringNotEquals: { 'ec2:MetadataHttpTokens': 'required' } },
      `arn:${partition}:ec2:*:*:instance/*`,
    ),
    deny('DenyLosingKeys', ['kms:ScheduleKeyDeletion', 'kms:DisableKey'], others),
    deny(
      'DenyLosingBackups',
      [
        'backup:DeleteBackupVault',
        'backup:DeleteRecoveryPoint',
        's3:DeleteBucket',
        's3:PutBucketVersioning',
        'elasticfilesystem:DeleteFileSystem',
        'elasticfilesystem:DeleteFileSystemPolicy',
      ],
      others,
    ),
  );
}

/** Calls that change nothing and show no content. */
const LOOKING = [
  'account:Get*',
  'budgets:View*',
  'ce:Get*',
  'cloudtrail:Get*',
  'cloudtrail:LookupEvents',
  'ec2:Describe*',
  'ecs:Describe*',
  'ecs:List*',
  'iam:Get*',
  'iam:List*',
  's3:GetBucketLocation',
  's3:ListAllMyBuckets',
  'support:*',
] as const;

/**
 * For the two roles that reach into every account from outside it. The organisation's has every right by AWS's own doing, and here
 * makes the deployment role and looks: with anything else it would find a way to data, be it an instance that mounts
 * a file system whose policy it has rewritten. The deployment role is kept from data by its boundary, which the organisation's role writes, so
 * it is said a second time where neither of them can change it.
 */
export function outsideRoles({ partition, deploymentRole, memberRole }: GuardRails): PolicyDocument {
  const arn = (resource: string) => `arn:${partition}:iam::*:${resource}`;
  const whoIs = (role: string) => ({ ArnLike: { 'aws:PrincipalArn': arn(`role/${role}`) } });
  return policyDocument(
    {
      Sid: 'DenyOrganizationAllElse',
      Effect: 'Deny',
      NotAction: [...LOOKING, 'sts:GetCallerIdentity'],
      NotResource: [arn(`role/${deploymentRole}`), arn(`policy/${deploymentRole}-*`), arn(`role/${memberRole}`)],
      Condition: whoIs(memberRole),
    },
    deny('DenyOrganizationOtherRoles', ['iam:PassRole', 'sts:AssumeRole'], whoIs(memberRole)),
    deny('DenyDeploymentData', READING_DATA, whoIs(deploymentRole)),
    deny('DenyDeploymentKeys', ['kms:Decrypt', 'kms:ReEncryptFrom'], {
      ...whoIs(deploymentRole),
      Null: { 'kms:ViaService': 'true' },
    }),
  );
}

/** For hospitals that left: nothing but looking, until the account is closed. */
export function suspended({ partition, deploymentRole, memberRole }: GuardRails): PolicyDocument {
  return policyDocument({
    Sid: 'DenyAllButLooking',
    Effect: 'Deny',
    NotAction: [...LOOKING, 'sts:*'],
    Resource: '*',
    Condition: except(partition, deploymentRole, memberRole),
  });
}

function except(partition: string, ...roles: readonly string[]) {
  const arns = roles.map((role) => `arn:${partition}:iam::*:role/${role}`);
  return { ArnNotLike: { 'aws:PrincipalArn': arns.length === 1 ? arns[0]! : arns } };
}

function deny(
  Sid: string,
  Action: string | readonly string[],
  Condition?: Statement['Condition'],
  Resource: string | readonly string[] = '*',
): Statement {
  return { Sid, Effect: 'Deny', Action, Resource, ...(Condition && { Condition }) };
}
