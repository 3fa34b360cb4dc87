/**
 * IAM policy documents as values (IAM user guide, "IAM JSON policy elements reference"). Components render them with pure
 * functions, so that a test reads what a reviewer reads.
 */

export type Condition = Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;

export interface Statement {
  /** Says in a word why the statement is there; letters and digits only, as IAM demands. */
  readonly Sid: string;
  readonly Effect: 'Allow' | 'Deny';
  /** Absent in the policy of an identity. */
  readonly Principal?:
    | '*'
    | { readonly AWS: string | readonly string[] }
    | { readonly Service: string | readonly string[] };
  readonly Action?: string | readonly string[];
  /** Everything but these, in a deny. */
  readonly NotAction?: readonly string[];
  readonly Resource?: string | readonly string[];
  /** Everywhere but there, in a deny. */
  readonly NotResource?: string | readonly string[];
  readonly Condition?: Condition;
}

export interface PolicyDocument {
  readonly Version: '2012-10-17';
  readonly Statement: readonly Statement[];
}

export function policyDocument(...statements: readonly Statement[]): PolicyDocument {
  return { Version: '2012-10-17', Statement: statements };
}

/** A right of an identity. */
export function allow(
  Sid: string,
  Action: string | readonly string[],
  Resource: string | readonly string[],
  Condition?: Condition,
): Statement {
  return { Sid, Effect: 'Allow', Action, Resource, ...(Condition && { Condition }) };
}

/**
 * Denies `actions` to everybody who does not come over TLS. The star principal is what makes it hold for all: a deny
 * grants nothing.
 */
export function denyWithoutTls(actions: string | readonly string[], resources: string | readonly string[]): Statement {
  return {
    Sid: 'DenyWithoutTls',
    Effect: 'Deny',
    Principal: '*',
    Action: actions,
    Resource: resources,
    Condition: { Bool: { 'aws:SecureTransport': 'false' } },
  };
}

/**
 * Services whose calls to STS do not say on whose account's behalf they come (IAM user guide, "The confused deputy problem"):
 * EC2 hands a role only to instances of the role's own account.
 */
const WITHOUT_SOURCE_ACCOUNT: readonly string[] = ['ec2.amazonaws.com'];

/** Who may take a role of a service, and only on behalf of this account: no other account deceives the service into it. */
export function trustService(service: string, accountId: string): PolicyDocument {
  return policyDocument({
    Sid: 'ServiceOfThisAccount',
    Effect: 'Allow',
    Principal: { Service: service },
    Action: 'sts:AssumeRole',
    ...(WITHOUT_SOURCE_ACCOUNT.includes(service)
      ? {}
      : { Condition: { StringEquals: { 'aws:SourceAccount': accountId } } }),
  });
}
