import { STAR_REASONS } from '../../components/star-reasons';
import { documentsOf, isBound, type Statement } from '../documents';
import { isText, texts } from '../properties';
import type { Finding, PlannedResource, ResourceRule } from '../rule';

/**
 * Statements that may say `*` or `service:*` as their action. A reason in STAR_REASONS is enough for a resource that cannot be
 * named; all actions of a service are another matter.
 */
const ALL_ACTIONS: readonly string[] = ['AccountDecidesByIam', 'OwnAccountOnly', 'BuildPlatform', 'BoundaryCeiling'];

/** Policies of AWS's own that are as wide as a star. */
const WIDE_POLICIES = /:aws:policy\/(.*\/)?(AdministratorAccess|PowerUserAccess|IAMFullAccess|\w+FullAccess)(-|$)/;

/** EC2 hands a role only to instances of the role's own account, and does not say whose they are. */
const WITHOUT_SOURCE_ACCOUNT: readonly string[] = ['ec2.amazonaws.com'];

export const leastPrivilege: ResourceRule = {
  name: 'least-privilege',
  rule: 'A right names its actions and its resources; a star has a reason in components/star-reasons.ts.',
  *check(resource) {
    // Service and resource control policies grant nothing by themselves.
    if (resource.type === 'aws:organizations/policy:Policy') return;
    for (const { field, statements } of documentsOf(resource)) {
      for (const [index, statement] of statements.entries()) {
        if (statement.effect !== 'Allow') continue;
        yield* faultsOf(`${field}.Statement.${statement.sid || index}`, statement, field);
      }
    }
    yield* widePolicies(resource);
  },
};

function* faultsOf(path: string, statement: Statement, field: string): Iterable<Finding> {
  const { sid, actions, resources, principals, negated } = statement;
  const hasReason = STAR_REASONS[sid] !== undefined;
  for (const key of negated) {
    yield { field: `${path}.${key}`, value: key, wayOut: 'name what is allowed instead of what is not' };
  }
  const stars = actions.filter((action) => action.includes('*'));
  if (stars.length > 0 && !(hasReason && ALL_ACTIONS.includes(sid))) {
    yield { field: `${path}.Action`, value: stars, wayOut: 'name the actions' };
  }
  if (resources.includes('*') && !hasReason) {
    yield {
      field: `${path}.Resource`,
      value: '*',
      wayOut:
        'name the resources, or, where the action knows none, give the Sid a reason in components/star-reasons.ts',
    };
  }
  if (principals.everybody && !isBound(statement) && !isImageLayers(statement)) {
    yield { field: `${path}.Principal`, value: '*', wayOut: 'name who, or bind it to an account by a condition' };
  }
  if (field !== 'assumeRolePolicy' || isBound(statement)) return;
  for (const service of principals.services.filter((name) => !WITHOUT_SOURCE_ACCOUNT.includes(name))) {
    yield {
      field: `${path}.Condition`,
      value: service,
      wayOut: 'add aws:SourceAccount, or another account could make the service take this role (trustService)',
    };
  }
}

/**
 * An endpoint of S3 lets the layers of container images through for everybody, since ECR signs for them; the bucket is AWS's own
 * (ECR user guide, "Minimum Amazon S3 bucket permissions for Amazon ECR").
 */
function isImageLayers({ actions, resources }: Statement): boolean {
  return (
    actions.every((action) => action === 's3:GetObject') &&
    resources.length > 0 &&
    resources.every((arn) => /^arn:[^:]+:s3:::prod-[a-z0-9-]+-starport-layer-bucket\/\*$/.test(arn))
  );
}

function* widePolicies({ type, props }: PlannedResource): Iterable<Finding> {
  if (!type.startsWith('aws:iam/')) return;
  for (const field of ['policyArn', 'managedPolicyArns']) {
    for (const arn of texts(props[field])) {
      if (isText(arn) && WIDE_POLICIES.test(arn)) {
        yield { field, value: arn, wayOut: 'write a policy with the rights that are needed' };
      }
    }
  }
}
