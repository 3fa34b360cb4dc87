/**
 * IAM policy documents as values (IAM user guide, "IAM JSON policy elements reference"). Components render them with pure
 * functions, so that a test reads what a reviewer reads.
 */

export type Condition = Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;

export interface Statement {
  /** Says in a word why the statement is there; letters and digits only, as IAM demands. */
  readonly Sid: string;
  readonly Effect: 'Allow' | 'Deny';
  readonly Principal: '*' | { readonly AWS: string } | { readonly Service: string };
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: Condition;
}

export interface PolicyDocument {
  readonly Version: '2012-10-17';
  readonly Statement: readonly Statement[];
}

export function policyDocument(...statements: readonly Statement[]): PolicyDocument {
  return { Version: '2012-10-17', Statement: statements };
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
