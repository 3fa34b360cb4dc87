import { boundRoles } from '../../../policies/rules/bound-roles';
import { leastPrivilege } from '../../../policies/rules/least-privilege';
import { boundPrincipals, explicitProvider, oneAccount, ownAccount } from '../../../policies/rules/own-account';
import { ACCOUNT, document, KEY_ARN, OTHER_ACCOUNT, PROVIDER, type RuleCases, resource } from './case';

const SOURCE = { StringEquals: { 'aws:SourceAccount': ACCOUNT } };
const trust = (Service: string, Condition?: object) =>
  document({ Principal: { Service }, Action: 'sts:AssumeRole', Condition });
const otherProvider = { ...PROVIDER, props: { ...PROVIDER.props, allowedAccountIds: JSON.stringify([OTHER_ACCOUNT]) } };

export const RIGHTS_CASES: readonly RuleCases[] = [
  {
    rule: leastPrivilege,
    good: [
      resource('aws:iam/rolePolicy:RolePolicy', 'rights', {
        policy: document(
          { Action: ['s3:GetObject'], Resource: 'arn:aws:s3:::data-1/*' },
          { Sid: 'ShellChannel', Action: 'ssmmessages:OpenDataChannel', Resource: '*' },
          { Effect: 'Deny', Action: '*', Resource: '*' },
        ),
      }),
      resource('aws:kms/key:Key', 'key', {
        policy: document({
          Sid: 'AccountDecidesByIam',
          Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` },
          Action: 'kms:*',
          Resource: '*',
        }),
      }),
      resource('aws:ec2/vpcEndpoint:VpcEndpoint', 'endpoint', {
        policy: document(
          {
            Sid: 'OwnAccountOnly',
            Principal: '*',
            Action: '*',
            Resource: '*',
            Condition: { StringEquals: { 'aws:PrincipalAccount': ACCOUNT } },
          },
          {
            Sid: 'ImageLayers',
            Principal: '*',
            Action: 's3:GetObject',
            Resource: 'arn:aws:s3:::prod-eu-west-2-starport-layer-bucket/*',
          },
        ),
      }),
      resource('aws:iam/role:Role', 'task', { assumeRolePolicy: trust('ecs-tasks.amazonaws.com', SOURCE) }),
      resource('aws:iam/role:Role', 'node', { assumeRolePolicy: trust('ec2.amazonaws.com') }),
      resource('aws:iam/rolePolicyAttachment:RolePolicyAttachment', 'attached', {
        policyArn: 'arn:aws:iam::aws:policy/ReadOnlyAccess',
      }),
      resource('aws:organizations/policy:Policy', 'everything', {
        content: document({ Action: '*', Resource: '*' }),
      }),
    ],
    broken: [
      { of: 'rights', set: ['props.policy.Statement.0.Action', 's3:*'], field: 'policy.Statement.Here.Action' },
      { of: 'rights', set: ['props.policy.Statement.0.Action', ['s3:Get*']], field: 'policy.Statement.Here.Action' },
      { of: 'rights', set: ['props.policy.Statement.0.Action', '*'], field: 'policy.Statement.Here.Action' },
      { of: 'rights', set: ['props.policy.Statement.0.Resource', '*'], field: 'policy.Statement.Here.Resource' },
      { of: 'rights', set: ['props.policy.Statement.0.NotAction', 's3:*'], field: 'policy.Statement.Here.NotAction' },
      { of: 'rights', set: ['props.policy.Statement.0.NotResource', 'x'], field: 'policy.Statement.Here.NotResource' },
      // A reason for a resource is none for all actions of a service.
      { of: 'rights', set: ['props.policy.Statement.1.Action', '*'], field: 'policy.Statement.ShellChannel.Action' },
      { of: 'rights', set: ['props.policy.Statement.1.Sid', 'Unheard'], field: 'policy.Statement.Unheard.Resource' },
      { of: 'key', set: ['props.policy.Statement.0.Sid', 'Unheard'], field: 'policy.Statement.Unheard.Action' },
      {
        of: 'key',
        set: ['props.policy.Statement.0.Principal', '*'],
        field: 'policy.Statement.AccountDecidesByIam.Principal',
      },
      {
        of: 'key',
        set: ['props.policy.Statement.0.Principal', { AWS: '*' }],
        field: 'policy.Statement.AccountDecidesByIam.Principal',
      },
      {
        of: 'endpoint',
        set: ['props.policy.Statement.0.Condition', undefined],
        field: 'policy.Statement.OwnAccountOnly.Principal',
      },
      {
        of: 'endpoint',
        set: ['props.policy.Statement.0.Condition', { StringNotEquals: { 'aws:PrincipalAccount': ACCOUNT } }],
        field: 'policy.Statement.OwnAccountOnly.Principal',
      },
      {
        of: 'endpoint',
        set: ['props.policy.Statement.1.Resource', 'arn:aws:s3:::another/*'],
        field: 'policy.Statement.ImageLayers.Principal',
      },
      {
        of: 'task',
        set: ['props.assumeRolePolicy.Statement.0.Condition', undefined],
        field: 'assumeRolePolicy.Statement.Here.Condition',
      },
      {
        of: 'task',
        set: ['props.managedPolicyArns', ['arn:aws:iam::aws:policy/AdministratorAccess']],
        field: 'managedPolicyArns',
      },
      { of: 'attached', set: ['props.policyArn', 'arn:aws:iam::aws:policy/AmazonS3FullAccess'] },
      { of: 'attached', set: ['props.policyArn', 'arn:aws-cn:iam::aws:policy/job-function/PowerUserAccess'] },
    ],
  },
  {
    rule: boundPrincipals,
    good: [
      resource('aws:s3/bucketPolicy:BucketPolicy', 'logs-policy', {
        policy: document({
          Principal: { Service: 'logdelivery.elasticloadbalancing.amazonaws.com' },
          Action: 's3:PutObject',
          Resource: 'arn:aws:s3:::access-1/AWSLogs/*',
          Condition: SOURCE,
        }),
      }),
      resource('aws:kms/key:Key', 'key', {
        policy: document({
          Principal: { Service: 'logs.eu-west-2.amazonaws.com' },
          Action: 'kms:Decrypt',
          Resource: '*',
          Condition: {
            ArnLike: { 'kms:EncryptionContext:aws:logs:arn': `arn:aws:logs:eu-west-2:${ACCOUNT}:log-group:*` },
          },
        }),
      }),
    ],
    broken: ['logs-policy', 'key'].map((of) => ({
      of,
      set: ['props.policy.Statement.0.Condition', undefined] as const,
      field: 'policy.Statement.Here.Condition',
    })),
  },
  {
    rule: boundRoles,
    good: [
      resource('aws:iam/role:Role', 'task', {
        permissionsBoundary: `arn:aws:iam::${ACCOUNT}:policy/clara-federation-deployment-roles`,
      }),
      resource(
        'aws:iam/role:Role',
        'trial',
        {},
        { urn: 'urn:pulumi:dev-st-marys::clara-federation::aws:iam/role:Role::trial' },
      ),
    ],
    broken: [
      { of: 'task', set: ['props.permissionsBoundary', undefined] },
      { of: 'task', set: ['props.permissionsBoundary', ''] },
    ],
  },
  {
    rule: explicitProvider,
    good: [
      resource('aws:s3/bucket:Bucket', 'data', {}),
      resource('pulumi:pulumi:Stack', 'stack', {}, { provider: undefined }),
    ],
    broken: [
      { of: 'data', set: ['provider', undefined] },
      { of: 'data', set: ['provider.name', 'default_7_48_0'], field: 'provider' },
      { of: 'data', set: ['provider.props.allowedAccountIds', undefined], field: 'provider site: allowedAccountIds' },
      { of: 'data', set: ['provider.props.allowedAccountIds', '[]'], field: 'provider site: allowedAccountIds' },
      {
        of: 'data',
        set: ['provider.props.allowedAccountIds', JSON.stringify([ACCOUNT, OTHER_ACCOUNT])],
        field: 'provider site: allowedAccountIds',
      },
      {
        of: 'data',
        set: ['provider.props.assumeRoles', JSON.stringify([{ roleArn: `arn:aws:iam::${OTHER_ACCOUNT}:role/x` }])],
        field: 'provider site: assumeRoles',
      },
    ],
  },
  {
    rule: ownAccount,
    good: [
      resource('aws:efs/fileSystem:FileSystem', 'files', { kmsKeyId: KEY_ARN }),
      resource('aws:iam/rolePolicy:RolePolicy', 'rights', {
        policy: document(
          { Action: 'kms:Decrypt', Resource: KEY_ARN },
          { Action: 'ecr:BatchGetImage', Resource: `arn:aws:ecr:eu-west-2:${OTHER_ACCOUNT}:repository/agent` },
        ),
      }),
      resource('aws:kms/key:Key', 'key', {
        policy: document({ Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` }, Action: 'kms:*', Resource: '*' }),
      }),
      resource('aws:iam/role:Role', 'deployment', {
        assumeRolePolicy: document({
          Sid: 'DeployersOfTheOrganization',
          Principal: { AWS: `arn:aws:iam::${OTHER_ACCOUNT}:role/ci` },
          Action: 'sts:AssumeRole',
          Condition: { StringEquals: { 'aws:PrincipalOrgID': 'o-1' } },
        }),
      }),
      resource('aws:ecr/repositoryPolicy:RepositoryPolicy', 'mirror', {
        policy: document({ Principal: { AWS: `arn:aws:iam::${OTHER_ACCOUNT}:root` }, Action: 'ecr:BatchGetImage' }),
      }),
    ],
    broken: [
      {
        of: 'deployment',
        set: ['props.assumeRolePolicy.Statement.0.Condition', undefined],
        field: 'assumeRolePolicy.Statement.DeployersOfTheOrganization',
      },
      {
        of: 'deployment',
        set: ['props.assumeRolePolicy.Statement.0.Sid', 'Somebody'],
        field: 'assumeRolePolicy.Statement.Somebody',
      },
      { of: 'files', set: ['props.kmsKeyId', `arn:aws:kms:eu-west-2:${OTHER_ACCOUNT}:key/5d6c`] },
      {
        of: 'rights',
        set: ['props.policy.Statement.0.Resource', `arn:aws:kms:eu-west-2:${OTHER_ACCOUNT}:key/5d6c`],
        field: 'policy.Statement.Here',
      },
      {
        of: 'key',
        set: ['props.policy.Statement.0.Principal', { AWS: `arn:aws:iam::${OTHER_ACCOUNT}:root` }],
        field: 'policy.Statement.Here',
      },
      {
        of: 'key',
        set: ['props.policy.Statement.0.Principal', { AWS: OTHER_ACCOUNT }],
        field: 'policy.Statement.Here',
      },
    ],
  },
  {
    rule: oneAccount,
    good: [resource('aws:s3/bucket:Bucket', 'data', {}), resource('aws:kms/key:Key', 'key', {})],
    broken: [{ of: 'key', set: ['provider', otherProvider] }],
  },
];
