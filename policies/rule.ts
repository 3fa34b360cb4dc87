/**
 * What a rule is, without Pulumi: a function from resources to what is wrong with them. Where a field is not what it should be,
 * the finding carries the value as it is, also when it is not known yet; see known.ts.
 */

export type Properties = Readonly<Record<string, unknown>>;

/** A provider as the engine shows it beside a resource. */
export interface ProviderResource {
  readonly name: string;
  readonly props: Properties;
}

export interface PlannedResource {
  /** Type token, such as `aws:s3/bucket:Bucket`. */
  readonly type: string;
  readonly name: string;
  readonly urn: string;
  /** Inputs; in a {@link StackRule} inputs and outputs. Secrets are in clear, so a finding never shows a value that may be one. */
  readonly props: Properties;
  readonly opts: { readonly protect: boolean };
  readonly provider?: ProviderResource;
}

/** A resource together with what its values came from; even a preview knows that. */
export interface StackResource extends PlannedResource {
  readonly propertyDependencies: Readonly<Record<string, readonly { readonly urn: string }[]>>;
}

export interface Finding {
  /** Path of the field, such as `metadataOptions.httpTokens`. */
  readonly field: string;
  /** What is there, where it may be shown; nothing when nothing is there. */
  readonly value?: unknown;
  /** The way out, as an order: "set it to required". */
  readonly wayOut: string;
}

interface About {
  /** In kebab case; what people write when they configure the pack. */
  readonly name: string;
  /** The rule in one sentence. */
  readonly rule: string;
  /** `advisory`: says so and lets it pass. @default 'mandatory' */
  readonly level?: 'advisory' | 'mandatory';
}

export interface ResourceRule extends About {
  readonly check: (resource: PlannedResource) => Iterable<Finding>;
}

/** A rule that needs to see several resources together. */
export interface StackRule extends About {
  readonly checkStack: (resources: readonly StackResource[]) => Iterable<Finding & { readonly of: PlannedResource }>;
}

export type Rule = ResourceRule | StackRule;

/** The sentence that a person reads below the rule: resource, field, value, way out. */
export function sentence({ name, type }: PlannedResource, { field, value, wayOut }: Finding): string {
  const found = value === undefined || value === null ? 'is not set' : `is ${shown(value)}`;
  return `${name} (${type}): ${field} ${found}; ${wayOut}`;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 120 ? text : `${text.slice(0, 117)}...`;
}
