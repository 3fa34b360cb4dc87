import { type Document, documentsOf, type Statement } from '../documents';
import { UNKNOWN } from '../known';
import { at, isText, listAt, parsed, refersTo } from '../properties';
import type { Finding, PlannedResource, ResourceRule, StackRule } from '../rule';

/** Listener policies without TLS 1.0 and 1.1 (ELB user guide, "Security policies for your Application Load Balancer"). */
const MODERN_TLS = /^ELBSecurityPolicy-(TLS13-1-[23]-|FS-1-2-Res-)/;

export const tlsOnly: ResourceRule = {
  name: 'tls-only',
  rule: 'Nothing is reachable in clear: load balancers speak TLS 1.2 or newer, file systems are mounted with TLS and an identity.',
  *check(resource) {
    const { type } = resource;
    if (type === 'aws:lb/listener:Listener') yield* listener(resource);
    if (type === 'aws:ecs/taskDefinition:TaskDefinition') yield* mounts(resource);
    if (type === 'aws:efs/fileSystemPolicy:FileSystemPolicy' && !documentsOf(resource).some(deniesClearText)) {
      yield {
        field: 'policy',
        value: sidsOf(resource.props.policy),
        wayOut: 'let it deny all client actions where aws:SecureTransport is false',
      };
    }
  },
};

function* listener({ props }: PlannedResource): Iterable<Finding> {
  const { protocol, sslPolicy, certificateArn } = props;
  // TLS passes through a network load balancer: the services behind it end it, and check certificates of both sides.
  if (protocol === 'TCP') return;
  const actions = listAt(props, 'defaultActions');
  const redirects =
    actions.length > 0 &&
    actions.every((action) => at(action, 'type') === 'redirect' && at(action, 'redirect.protocol') === 'HTTPS');
  if (protocol === 'HTTP' && redirects) return;
  if (protocol !== 'HTTPS' && protocol !== 'TLS') {
    yield {
      field: 'protocol',
      value: protocol,
      wayOut:
        'set it to HTTPS, or let the listener redirect there; a site of de-identified data that must serve plain HTTP sets this rule to advisory in the configuration of the pack',
    };
    return;
  }
  if (!isText(sslPolicy) || !MODERN_TLS.test(sslPolicy)) {
    yield {
      field: 'sslPolicy',
      value: sslPolicy,
      wayOut: 'choose ELBSecurityPolicy-TLS13-1-2-Res-2021-06 or a stricter one',
    };
  }
  if (!isText(certificateArn))
    yield { field: 'certificateArn', value: certificateArn, wayOut: 'name a certificate of ACM' };
}

function* mounts({ props }: PlannedResource): Iterable<Finding> {
  for (const [index, volume] of listAt(props, 'volumes').entries()) {
    const efs = at(volume, 'efsVolumeConfiguration');
    if (efs === undefined || efs === null) continue;
    const field = `volumes.${index}.efsVolumeConfiguration`;
    for (const [path, want] of [
      ['transitEncryption', 'ENABLED'],
      ['authorizationConfig.iam', 'ENABLED'],
    ] as const) {
      const value = at(efs, path);
      if (value !== want) yield { field: `${field}.${path}`, value, wayOut: `set it to ${want}` };
    }
    const value = at(efs, 'authorizationConfig.accessPointId');
    if (!isText(value)) {
      yield { field: `${field}.authorizationConfig.accessPointId`, value, wayOut: 'mount through an access point' };
    }
  }
}

/** Whether a document denies everybody who comes without TLS, on everything that it covers. */
function deniesClearText({ statements }: Document): boolean {
  return statements.some(isDenyWithoutTls);
}

const ALL_ACTIONS = /^(\*|s3:\*|elasticfilesystem:(\*|Client\*))$/;
const CLIENT_ACTIONS = ['ClientMount', 'ClientWrite', 'ClientRootAccess'].map(
  (action) => `elasticfilesystem:${action}`,
);

function isDenyWithoutTls({ effect, principals, actions, condition, negated }: Statement): boolean {
  const isAll = actions.some((action) => ALL_ACTIONS.test(action)) || CLIENT_ACTIONS.every((a) => actions.includes(a));
  const keys = Object.entries(condition);
  // One condition and no other: each further one would let somebody through.
  const isOnlyAboutTls =
    keys.length === 1 &&
    Object.keys(keys[0][1]).length === 1 &&
    String(condition.Bool?.['aws:SecureTransport']) === 'false';
  return effect === 'Deny' && principals.everybody && negated.length === 0 && isAll && isOnlyAboutTls;
}

const BUCKET_POLICY = 'aws:s3/bucketPolicy:BucketPolicy';
const FILE_SYSTEM_POLICY = 'aws:efs/fileSystemPolicy:FileSystemPolicy';

export const storesTlsOnly: StackRule = {
  name: 'stores-tls-only',
  rule: 'Every bucket and every file system has a policy that denies everybody who comes without TLS.',
  *checkStack(resources) {
    for (const store of resources) {
      const policyType = POLICY_OF[store.type];
      if (policyType === undefined) continue;
      const part = policyType === BUCKET_POLICY ? 'bucket' : 'fileSystemId';
      const policies = resources.filter(({ type }) => type === policyType).filter((p) => refersTo(p, part, store));
      if (policies.length === 0) {
        yield {
          of: store,
          field: 'policy',
          wayOut: `give it a ${policyType} that denies where aws:SecureTransport is false`,
        };
      }
      if (policyType !== BUCKET_POLICY) continue;
      for (const policy of policies) {
        if (!coversBucket(documentsOf(policy))) {
          yield {
            of: policy,
            field: 'policy',
            value: sidsOf(policy.props.policy),
            wayOut:
              'let it deny s3:* on the bucket and its objects where aws:SecureTransport is false (denyWithoutTls)',
          };
        }
      }
    }
  },
};

const POLICY_OF: Readonly<Record<string, string>> = {
  'aws:s3/bucket:Bucket': BUCKET_POLICY,
  'aws:efs/fileSystem:FileSystem': FILE_SYSTEM_POLICY,
};

/** On the bucket itself and on its objects: either alone leaves the other open. */
function coversBucket(documents: readonly Document[]): boolean {
  const covered = documents
    .flatMap(({ statements }) => statements.filter(isDenyWithoutTls))
    .flatMap((s) => s.resources);
  const whole = covered.includes('*');
  return whole || (covered.some((arn) => arn.endsWith('/*')) && covered.some((arn) => !arn.includes('/')));
}

/** The Sids alone: a policy is long, and these say what is in it. */
function sidsOf(policy: unknown): unknown {
  if (policy === UNKNOWN) return UNKNOWN;
  const document = typeof policy === 'string' ? parsed(policy) : policy;
  return listAt(document, 'Statement').map((statement) => at(statement, 'Sid'));
}
