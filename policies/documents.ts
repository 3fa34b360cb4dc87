import { isObject, isText, parsed } from './properties';
import type { PlannedResource } from './rule';

/** IAM documents that a resource carries, with their statements as lists. */
export interface Document {
  /** Property that holds it. */
  readonly field: string;
  readonly statements: readonly Statement[];
}

export interface Statement {
  readonly sid: string;
  readonly effect: string;
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  /** `*`, and everything below `AWS`, `Service` and `Federated`. Empty in the policy of an identity. */
  readonly principals: {
    readonly everybody: boolean;
    readonly aws: readonly string[];
    readonly services: readonly string[];
  };
  /** Present when the statement speaks of everything but something. */
  readonly negated: readonly ('NotAction' | 'NotResource' | 'NotPrincipal')[];
  readonly condition: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const FIELDS = ['policy', 'assumeRolePolicy', 'content', 'policyDocument', 'resourcePolicy'] as const;

/** Documents are properties with JSON text that has statements; other text in these fields is none. */
export function documentsOf({ props }: PlannedResource): Document[] {
  return FIELDS.flatMap((field) => {
    const value = props[field];
    const document = typeof value === 'string' ? parsed(value) : value;
    if (!isObject(document) || document.Statement === undefined) return [];
    return [{ field, statements: many(document.Statement).filter(isObject).map(statementOf) }];
  });
}

function statementOf(raw: Readonly<Record<string, unknown>>): Statement {
  const principal = raw.Principal;
  const aws = isObject(principal) ? many(principal.AWS).filter(isText) : [];
  return {
    sid: isText(raw.Sid) ? raw.Sid : '',
    effect: String(raw.Effect),
    actions: many(raw.Action).filter(isText),
    resources: many(raw.Resource).filter(isText),
    principals: {
      everybody: principal === '*' || aws.includes('*'),
      aws,
      services: isObject(principal) ? many(principal.Service).filter(isText) : [],
    },
    negated: (['NotAction', 'NotResource', 'NotPrincipal'] as const).filter((key) => raw[key] !== undefined),
    condition: isObject(raw.Condition) ? (raw.Condition as Statement['condition']) : {},
  };
}

/** IAM lets one value stand for a list of one. */
function many(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

/** Condition keys that pin down where a caller belongs, in lower case: with one of them a star is not everybody. */
const BELONGING = [
  'aws:principalaccount',
  'aws:principalorgid',
  'aws:principalorgpaths',
  'aws:sourceaccount',
  'aws:sourcearn',
  'aws:sourceorgid',
];

export function isBound({ condition }: Statement): boolean {
  return Object.entries(condition).some(
    ([operator, keys]) =>
      !/IfExists$|^Null$|Not/.test(operator) && Object.keys(keys).some((key) => BELONGING.includes(key.toLowerCase())),
  );
}
