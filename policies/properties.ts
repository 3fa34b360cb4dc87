import type { PlannedResource, Properties, StackResource } from './rule';

/** Reading of properties, which are whatever a program wrote: nothing here trusts a shape. */

/** The value at a dotted path, such as `metadataOptions.httpTokens`; undefined where the path ends early. */
export function at(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((inner, key) => (isObject(inner) ? inner[key] : undefined), value);
}

/** A list, and none where there is no list. */
export function listAt(value: unknown, path: string): readonly unknown[] {
  const found = at(value, path);
  return Array.isArray(found) ? found : [];
}

export function isObject(value: unknown): value is Properties {
  return typeof value === 'object' && value !== null;
}

/** Text that is there and not empty. */
export function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** Provider inputs travel as JSON text wherever they are not text themselves. */
export function providerInput(props: Properties, key: string): unknown {
  const value = props[key];
  return typeof value === 'string' && /^[[{]/.test(value) ? parsed(value) : value;
}

/** The accounts that the provider of a resource may work in. */
export function allowedAccounts({ provider }: PlannedResource): readonly string[] {
  const ids = provider === undefined ? undefined : providerInput(provider.props, 'allowedAccountIds');
  return Array.isArray(ids) ? ids.filter(isText) : [];
}

/** The stack's name, from a URN. */
export function stackOf({ urn }: PlannedResource): string {
  return urn.split('::')[0].slice('urn:pulumi:'.length);
}

/**
 * Whether a field of `part` names `whole`: by what its value was made from, which a preview knows too, or else by one of the
 * identifiers of `whole`.
 */
export function refersTo(part: StackResource, field: string, whole: PlannedResource): boolean {
  const sources = part.propertyDependencies[field] ?? [];
  if (sources.length > 0) return sources.some(({ urn }) => urn === whole.urn);
  const values = new Set(texts(part.props[field]));
  return ['id', 'arn', 'bucket', 'name'].some((key) => isText(whole.props[key]) && values.has(whole.props[key]));
}

/** Every text in a value, however deep. */
export function texts(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(texts);
  return isObject(value) ? Object.values(value).flatMap(texts) : [];
}

/** JSON, or undefined where it is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
