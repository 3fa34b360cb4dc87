import { readFileSync } from 'node:fs';
import path from 'node:path';

/** What the SDK of a provider says of one resource type. */
export interface SdkType {
  readonly required: readonly string[];
  readonly inputs: readonly string[];
  /** Outputs that are no inputs: what AWS decides. */
  readonly computed: readonly string[];
}

const SDK = path.dirname(require.resolve('@pulumi/aws/package.json'));
const known = new Map<string, SdkType>();

/**
 * The SDK is generated from the provider's schema, which cannot be had offline, and its constructors keep what is needed of
 * it: which arguments are required, and which properties only the provider sets.
 * @param type token such as `aws:s3/bucket:Bucket`
 */
export function sdkType(type: string): SdkType {
  const cached = known.get(type);
  if (cached) return cached;
  const [, module] = type.split(':');
  const source = readFileSync(path.join(SDK, `${module}.js`), 'utf8');
  const required = all(source, /throw new Error\("Missing required property '(\w+)'"\)/g);
  const computed = all(source, /resourceInputs\["(\w+)"\] = undefined \/\*out\*\//g);
  const inputs = all(source, /resourceInputs\["(\w+)"\] = (?:args\?\.|\()/g);
  if (inputs.length === 0) throw new Error(`the SDK has no constructor of ${type} that this double can read`);
  const read = { required, inputs, computed };
  known.set(type, read);
  return read;
}

function all(source: string, form: RegExp): string[] {
  return [...new Set([...source.matchAll(form)].map(([, name]) => name!))];
}
