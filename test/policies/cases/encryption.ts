import { bucketEncryption, encryptionAtRest } from '../../../policies/rules/encryption-at-rest';
import { keyCare } from '../../../policies/rules/key-care';
import { KEY_ARN, type RuleCases, resource } from './case';

const encryption = (name: string, bucket: string, byDefault: object) =>
  resource('aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration', name, {
    bucket,
    rules: [{ applyServerSideEncryptionByDefault: byDefault }],
  });

const DEFAULT = 'rules.0.applyServerSideEncryptionByDefault';

export const ENCRYPTION_CASES: readonly RuleCases[] = [
  {
    rule: encryptionAtRest,
    good: [
      resource('aws:efs/fileSystem:FileSystem', 'files', { encrypted: true, kmsKeyId: KEY_ARN }),
      resource('aws:cloudwatch/logGroup:LogGroup', 'log', { kmsKeyId: KEY_ARN }),
      resource('aws:secretsmanager/secret:Secret', 'secret', { kmsKeyId: KEY_ARN }),
      resource('aws:sns/topic:Topic', 'topic', { kmsMasterKeyId: KEY_ARN }),
      resource('aws:sqs/queue:Queue', 'queue', { kmsMasterKeyId: KEY_ARN }),
      resource('aws:cloudtrail/trail:Trail', 'trail', { kmsKeyId: KEY_ARN }),
      resource('aws:backup/vault:Vault', 'vault', { kmsKeyArn: KEY_ARN }),
      resource('aws:ebs/volume:Volume', 'disk', { encrypted: true, kmsKeyId: KEY_ARN }),
      resource('aws:rds/instance:Instance', 'database', { storageEncrypted: true, kmsKeyId: KEY_ARN }),
      resource('aws:ecr/repository:Repository', 'images', {
        encryptionConfigurations: [{ encryptionType: 'KMS', kmsKey: KEY_ARN }],
      }),
      resource('aws:ec2/launchTemplate:LaunchTemplate', 'nodes', {
        blockDeviceMappings: [{ deviceName: '/dev/xvda', ebs: { encrypted: 'true', kmsKeyId: KEY_ARN } }],
      }),
      resource('aws:ec2/instance:Instance', 'machine', { ebsBlockDevices: [{ encrypted: true, kmsKeyId: KEY_ARN }] }),
      resource('aws:ssm/parameter:Parameter', 'parameter', { type: 'SecureString', keyId: KEY_ARN }),
      resource('aws:ec2/instance:Instance', 'templated', { launchTemplate: { id: 'lt-1' } }),
      resource('aws:ssm/parameter:Parameter', 'plain', { type: 'String' }),
    ],
    broken: [
      { of: 'files', set: ['props.encrypted', false] },
      { of: 'files', set: ['props.encrypted', undefined] },
      { of: 'files', set: ['props.kmsKeyId', undefined] },
      { of: 'files', set: ['props.kmsKeyId', 'arn:aws:kms:eu-west-2:111122223333:alias/aws/elasticfilesystem'] },
      { of: 'log', set: ['props.kmsKeyId', undefined] },
      { of: 'secret', set: ['props.kmsKeyId', undefined] },
      { of: 'topic', set: ['props.kmsMasterKeyId', 'alias/aws/sns'] },
      { of: 'queue', set: ['props.kmsMasterKeyId', undefined] },
      { of: 'trail', set: ['props.kmsKeyId', undefined] },
      { of: 'vault', set: ['props.kmsKeyArn', undefined] },
      { of: 'disk', set: ['props.encrypted', undefined] },
      { of: 'disk', set: ['props.kmsKeyId', undefined] },
      { of: 'database', set: ['props.storageEncrypted', false] },
      { of: 'images', set: ['props.encryptionConfigurations.0.encryptionType', 'AES256'] },
      { of: 'images', set: ['props.encryptionConfigurations.0.kmsKey', undefined] },
      { of: 'images', set: ['props.encryptionConfigurations', undefined], field: 'encryptionConfigurations.0.kmsKey' },
      { of: 'nodes', set: ['props.blockDeviceMappings.0.ebs.encrypted', 'false'] },
      { of: 'nodes', set: ['props.blockDeviceMappings.0.ebs.kmsKeyId', undefined] },
      { of: 'nodes', set: ['props.blockDeviceMappings', []] },
      { of: 'machine', set: ['props.ebsBlockDevices.0.encrypted', false] },
      { of: 'templated', set: ['props.launchTemplate', undefined], field: 'ebsBlockDevices' },
      { of: 'parameter', set: ['props.keyId', 'alias/aws/ssm'] },
    ],
  },
  {
    rule: bucketEncryption,
    good: [
      resource('aws:s3/bucket:Bucket', 'data', { bucket: 'data-1' }),
      encryption('data-encryption', 'data-1', { sseAlgorithm: 'aws:kms', kmsMasterKeyId: KEY_ARN }),
      resource('aws:s3/bucket:Bucket', 'access', { bucket: 'access-1' }),
      encryption('access-encryption', 'access-1', { sseAlgorithm: 'AES256' }),
      resource('aws:lb/loadBalancer:LoadBalancer', 'front', { accessLogs: { enabled: true, bucket: 'access-1' } }),
    ],
    broken: [
      { of: 'data-encryption', set: [`props.${DEFAULT}.sseAlgorithm`, 'AES256'] },
      { of: 'data-encryption', set: [`props.${DEFAULT}.kmsMasterKeyId`, undefined] },
      { of: 'data-encryption', set: [`props.${DEFAULT}.kmsMasterKeyId`, 'alias/aws/s3'] },
      { of: 'data-encryption', set: ['props.bucket', 'another'], field: 'encryption', at: 'data' },
      // Only the load balancer's own bucket may do without KMS.
      {
        of: 'front',
        set: ['props.accessLogs.bucket', 'data-1'],
        field: `${DEFAULT}.sseAlgorithm`,
        at: 'access-encryption',
      },
    ],
  },
  {
    rule: keyCare,
    good: [
      resource('aws:kms/key:Key', 'key', { enableKeyRotation: true, deletionWindowInDays: 30 }),
      resource('aws:kms/key:Key', 'signing', { customerMasterKeySpec: 'ECC_NIST_P256' }),
    ],
    broken: [
      { of: 'key', set: ['props.enableKeyRotation', false] },
      { of: 'key', set: ['props.enableKeyRotation', undefined] },
      { of: 'key', set: ['props.deletionWindowInDays', 7] },
      { of: 'key', set: ['props.bypassPolicyLockoutSafetyCheck', true] },
    ],
  },
];
