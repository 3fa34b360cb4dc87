import { storesTlsOnly, tlsOnly } from '../../../policies/rules/tls-only';
import { document, type RuleCases, resource } from './case';

const CLIENT = ['elasticfilesystem:ClientMount', 'elasticfilesystem:ClientWrite', 'elasticfilesystem:ClientRootAccess'];
const withoutTls = (Action: unknown, Resource: unknown) =>
  document({
    Effect: 'Deny',
    Principal: '*',
    Action,
    Resource,
    Condition: { Bool: { 'aws:SecureTransport': 'false' } },
  });

const BUCKET = 'arn:aws:s3:::data-1';
const FILES = 'arn:aws:elasticfilesystem:eu-west-2:111122223333:file-system/fs-1';

export const TLS_CASES: readonly RuleCases[] = [
  {
    rule: tlsOnly,
    good: [
      resource('aws:lb/listener:Listener', 'https', {
        protocol: 'HTTPS',
        sslPolicy: 'ELBSecurityPolicy-TLS13-1-2-Res-2021-06',
        certificateArn: 'arn:aws:acm:eu-west-2:111122223333:certificate/5d6c',
      }),
      resource('aws:lb/listener:Listener', 'redirect', {
        protocol: 'HTTP',
        defaultActions: [{ type: 'redirect', redirect: { protocol: 'HTTPS' } }],
      }),
      resource('aws:lb/listener:Listener', 'through', { protocol: 'TCP' }),
      resource('aws:ecs/taskDefinition:TaskDefinition', 'task', {
        volumes: [
          { name: 'scratch' },
          {
            name: 'workspace',
            efsVolumeConfiguration: {
              transitEncryption: 'ENABLED',
              authorizationConfig: { iam: 'ENABLED', accessPointId: 'fsap-1' },
            },
          },
        ],
      }),
      resource('aws:efs/fileSystemPolicy:FileSystemPolicy', 'files-policy', { policy: withoutTls(CLIENT, FILES) }),
    ],
    broken: [
      { of: 'https', set: ['props.protocol', 'HTTP'] },
      { of: 'https', set: ['props.sslPolicy', 'ELBSecurityPolicy-2016-08'] },
      { of: 'https', set: ['props.sslPolicy', undefined] },
      { of: 'https', set: ['props.certificateArn', undefined] },
      { of: 'redirect', set: ['props.defaultActions.0.type', 'forward'], field: 'protocol' },
      { of: 'redirect', set: ['props.defaultActions.0.redirect.protocol', 'HTTP'], field: 'protocol' },
      { of: 'through', set: ['props.protocol', 'UDP'] },
      { of: 'through', set: ['props.protocol', 'TLS'], field: 'sslPolicy' },
      { of: 'task', set: ['props.volumes.1.efsVolumeConfiguration.transitEncryption', 'DISABLED'] },
      { of: 'task', set: ['props.volumes.1.efsVolumeConfiguration.transitEncryption', undefined] },
      { of: 'task', set: ['props.volumes.1.efsVolumeConfiguration.authorizationConfig.iam', 'DISABLED'] },
      { of: 'task', set: ['props.volumes.1.efsVolumeConfiguration.authorizationConfig.accessPointId', undefined] },
      { of: 'files-policy', set: ['props.policy.Statement.0.Effect', 'Allow'], field: 'policy' },
      { of: 'files-policy', set: ['props.policy.Statement.0.Action', CLIENT.slice(1)], field: 'policy' },
    ],
  },
  {
    rule: storesTlsOnly,
    good: [
      resource('aws:s3/bucket:Bucket', 'data', { bucket: 'data-1' }),
      resource('aws:s3/bucketPolicy:BucketPolicy', 'data-policy', {
        bucket: 'data-1',
        policy: withoutTls('s3:*', [BUCKET, `${BUCKET}/*`]),
      }),
      resource('aws:efs/fileSystem:FileSystem', 'files', { id: 'fs-1' }),
      resource('aws:efs/fileSystemPolicy:FileSystemPolicy', 'files-policy', {
        fileSystemId: 'fs-1',
        policy: withoutTls(CLIENT, FILES),
      }),
    ],
    broken: [
      { of: 'data-policy', set: ['props.bucket', 'another'], field: 'policy', at: 'data' },
      { of: 'files-policy', set: ['props.fileSystemId', 'fs-2'], field: 'policy', at: 'files' },
      { of: 'data-policy', set: ['props.policy.Statement.0.Effect', 'Allow'], field: 'policy' },
      {
        of: 'data-policy',
        set: ['props.policy.Statement.0.Principal', { AWS: 'arn:aws:iam::1:root' }],
        field: 'policy',
      },
      { of: 'data-policy', set: ['props.policy.Statement.0.Action', 's3:GetObject'], field: 'policy' },
      { of: 'data-policy', set: ['props.policy.Statement.0.Resource', [BUCKET]], field: 'policy' },
      { of: 'data-policy', set: ['props.policy.Statement.0.Resource', [`${BUCKET}/*`]], field: 'policy' },
      { of: 'data-policy', set: ['props.policy.Statement.0.Condition', undefined], field: 'policy' },
      {
        of: 'data-policy',
        set: ['props.policy.Statement.0.Condition.StringEquals', { 'aws:PrincipalAccount': '1' }],
        field: 'policy',
      },
      { of: 'data-policy', set: ['props.policy', undefined] },
    ],
  },
];
