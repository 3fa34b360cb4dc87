import { at, isObject, isText, listAt, refersTo } from '../properties';
import type { Finding, PlannedResource, ResourceRule, StackRule } from '../rule';

/** Where each kind of store names its KMS key. What is stored elsewhere is no data of ours. */
const KEY_FIELDS: Readonly<Record<string, string>> = {
  'aws:backup/vault:Vault': 'kmsKeyArn',
  'aws:cloudtrail/trail:Trail': 'kmsKeyId',
  'aws:cloudwatch/logGroup:LogGroup': 'kmsKeyId',
  'aws:ebs/volume:Volume': 'kmsKeyId',
  'aws:efs/fileSystem:FileSystem': 'kmsKeyId',
  'aws:rds/instance:Instance': 'kmsKeyId',
  'aws:secretsmanager/secret:Secret': 'kmsKeyId',
  'aws:sns/topic:Topic': 'kmsMasterKeyId',
  'aws:sqs/queue:Queue': 'kmsMasterKeyId',
};

/** Stores that, besides, have a switch. */
const SWITCHES: Readonly<Record<string, string>> = {
  'aws:ebs/volume:Volume': 'encrypted',
  'aws:efs/fileSystem:FileSystem': 'encrypted',
  'aws:rds/instance:Instance': 'storageEncrypted',
};

const KEY = 'name the KMS key that the stack makes for it (components/data-key.ts)';

export const encryptionAtRest: ResourceRule = {
  name: 'encryption-at-rest',
  rule: 'What is stored is encrypted with a KMS key of the account itself, never with a key that AWS manages.',
  *check(resource) {
    const { type, props } = resource;
    const onOff = SWITCHES[type];
    if (onOff !== undefined && props[onOff] !== true) {
      yield { field: onOff, value: props[onOff], wayOut: 'set it to true' };
    }
    const key = KEY_FIELDS[type];
    if (key !== undefined) yield* ownKey(key, props[key]);
    if (type === 'aws:ec2/launchTemplate:LaunchTemplate') yield* disks(resource, 'blockDeviceMappings', 'ebs.');
    if (type === 'aws:ec2/instance:Instance') yield* disks(resource, 'ebsBlockDevices', '');
    if (type === 'aws:ecr/repository:Repository') yield* images(resource);
    if (type === 'aws:ssm/parameter:Parameter' && props.type === 'SecureString') yield* ownKey('keyId', props.keyId);
  },
};

function* ownKey(field: string, value: unknown): Iterable<Finding> {
  if (!isText(value) || /alias\/aws\//.test(value)) yield { field, value, wayOut: KEY };
}

function* disks({ props }: PlannedResource, list: string, inside: string): Iterable<Finding> {
  const mappings = listAt(props, list);
  // Without a mapping the disk is the image's own, encrypted or not.
  // Those of a launch template are checked where the template is made.
  if (mappings.length === 0 && isObject(props.launchTemplate)) return;
  if (mappings.length === 0)
    yield { field: list, value: props[list], wayOut: 'map the root disk, encrypted with a key of the stack' };
  for (const [index, mapping] of mappings.entries()) {
    const encrypted = at(mapping, `${inside}encrypted`);
    if (encrypted !== true && encrypted !== 'true') {
      yield { field: `${list}.${index}.${inside}encrypted`, value: encrypted, wayOut: 'set it to true' };
    }
    yield* ownKey(`${list}.${index}.${inside}kmsKeyId`, at(mapping, `${inside}kmsKeyId`));
  }
}

function* images({ props }: PlannedResource): Iterable<Finding> {
  const [configuration] = listAt(props, 'encryptionConfigurations');
  const kind = at(configuration, 'encryptionType');
  if (kind !== 'KMS')
    yield { field: 'encryptionConfigurations.0.encryptionType', value: kind, wayOut: 'set it to KMS' };
  yield* ownKey('encryptionConfigurations.0.kmsKey', at(configuration, 'kmsKey'));
}

const KMS_ALGORITHMS: readonly unknown[] = ['aws:kms', 'aws:kms:dsse'];

/**
 * Buckets say in a resource of their own how they are encrypted. One kind may not use KMS: load balancers write their access logs
 * only where S3's own keys are used (ELB user guide, "Access logs for your Application Load Balancer").
 */
export const bucketEncryption: StackRule = {
  name: 'bucket-encryption',
  rule: "Every bucket encrypts with a KMS key of the account, but the one that a load balancer writes to, which can use S3's keys only.",
  *checkStack(resources) {
    const parts = resources.filter(({ type }) => type === ENCRYPTION);
    const balancers = resources.filter(({ type }) => type === 'aws:lb/loadBalancer:LoadBalancer');
    for (const bucket of resources.filter(({ type }) => type === 'aws:s3/bucket:Bucket')) {
      const encryption = parts.filter((part) => refersTo(part, 'bucket', bucket));
      if (encryption.length === 0) {
        yield { of: bucket, field: 'encryption', wayOut: `give it a ${ENCRYPTION} with a KMS key` };
      }
      const isAccessLog = balancers.some((balancer) => refersTo(balancer, 'accessLogs', bucket));
      for (const part of encryption) {
        for (const [index, rule] of listAt(part.props, 'rules').entries()) {
          const field = `rules.${index}.applyServerSideEncryptionByDefault`;
          const { sseAlgorithm, kmsMasterKeyId } = (at(rule, 'applyServerSideEncryptionByDefault') ?? {}) as {
            readonly sseAlgorithm?: unknown;
            readonly kmsMasterKeyId?: unknown;
          };
          if (isAccessLog && sseAlgorithm === 'AES256') continue;
          if (!KMS_ALGORITHMS.includes(sseAlgorithm)) {
            yield { of: part, field: `${field}.sseAlgorithm`, value: sseAlgorithm, wayOut: 'set it to aws:kms' };
          }
          for (const finding of ownKey(`${field}.kmsMasterKeyId`, kmsMasterKeyId)) yield { of: part, ...finding };
        }
      }
    }
  },
};

const ENCRYPTION = 'aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration';
