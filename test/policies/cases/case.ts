import type { PlannedResource, Properties, Rule, StackResource } from '../../../policies/rule';

export const ACCOUNT = '111122223333';
export const OTHER_ACCOUNT = '999900001111';
export const KEY_ARN = `arn:aws:kms:eu-west-2:${ACCOUNT}:key/5d6c`;

/** One rule: what passes, and what each broken field makes of it. */
export interface RuleCases {
  readonly rule: Rule;
  readonly good: readonly StackResource[];
  readonly broken: readonly Broken[];
}

export interface Broken {
  /** Name of the resource that is broken. */
  readonly of: string;
  /** Dotted path in the resource, `props.encrypted`; undefined as the value removes it. */
  readonly set: readonly [path: string, value: unknown];
  /** The field that the finding names. @default the path below `props` */
  readonly field?: string;
  /** Name of the resource that the finding is about. @default `of` */
  readonly at?: string;
}

/** A provider as the wire has it: lists and maps as JSON text. */
export const PROVIDER = {
  name: 'site',
  props: {
    region: 'eu-west-2',
    allowedAccountIds: JSON.stringify([ACCOUNT]),
    assumeRoles: JSON.stringify([{ roleArn: `arn:aws:iam::${ACCOUNT}:role/deployment` }]),
    defaultTags: JSON.stringify({
      tags: { Project: 'clara-federation', Environment: 'prod', Site: 'st-marys', ManagedBy: 'pulumi' },
    }),
  },
};

export function resource(
  type: string,
  name: string,
  props: Properties,
  options: Partial<StackResource> = {},
): StackResource {
  return {
    type,
    name,
    urn: `urn:pulumi:prod-st-marys::clara-federation::${type}::${name}`,
    props,
    opts: { protect: true },
    provider: PROVIDER,
    propertyDependencies: {},
    ...options,
  };
}

/** An IAM document as text, of statements that may leave out what does not matter. */
export function document(...statements: readonly Properties[]): string {
  return JSON.stringify({
    Version: '2012-10-17',
    Statement: statements.map((s) => ({ Sid: 'Here', Effect: 'Allow', ...s })),
  });
}

/** What a rule says of resources: `name field`. */
export function findings(
  rule: Rule,
  resources: readonly StackResource[],
): { of: PlannedResource; field: string; wayOut: string }[] {
  if ('checkStack' in rule) return [...rule.checkStack(resources)];
  return resources.flatMap((of) => [...rule.check(of)].map((finding) => ({ of, ...finding })));
}
