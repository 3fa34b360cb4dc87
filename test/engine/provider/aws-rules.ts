import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { clearOf, clearProperties, type Properties, UNKNOWN_WIRE } from '../property-values';
import { isReplacedBy } from './replacements';
import { sdkType } from './sdk-type';

/**
 * What the `aws` provider does between a program and AWS, without any transport: it names what has no name, finds what is
 * missing, and tells updates from replacements. Values are in wire form, so that secrets stay secrets.
 */

/** Where the provider notes which inputs it has filled in itself. */
const DEFAULTS = '__defaults';

/** Types whose name is not called `name`. */
const NAMED_OTHERWISE: Readonly<Record<string, string>> = { 'aws:s3/bucket:Bucket': 'bucket' };

export interface CheckedInputs {
  readonly inputs: Properties;
  readonly missing: readonly string[];
}

export interface InputDifference {
  readonly argument: string;
  readonly kind: 'add' | 'delete' | 'update';
  readonly replaces: boolean;
}

/**
 * @param olds inputs of the last deployment, empty for something new
 * @param seed the engine's random seed: the same in the preview and in the update that follows it
 */
export function checkInputs(
  type: string,
  name: string,
  olds: Properties,
  news: Properties,
  seed: Uint8Array,
): CheckedInputs {
  const { required, inputs: known } = sdkType(type);
  const inputs: Record<string, unknown> = { ...news };
  const defaults: string[] = [];
  const named = NAMED_OTHERWISE[type] ?? 'name';
  const isOptional = known.includes(named) && !required.includes(named);
  if (isOptional && inputs[named] === undefined && inputs[`${named}Prefix`] === undefined) {
    const before = olds[DEFAULTS];
    const isKept = Array.isArray(before) && before.includes(named);
    inputs[named] = isKept ? olds[named] : `${name}-${createHash('sha256').update(seed).digest('hex').slice(0, 7)}`;
    defaults.push(named);
  }
  inputs[DEFAULTS] = defaults;
  return { inputs, missing: required.filter((argument) => inputs[argument] === undefined) };
}

/** Inputs beside what the thing itself is called. */
export function withoutName(type: string, inputs: Properties): Properties {
  const named = NAMED_OTHERWISE[type] ?? 'name';
  return Object.fromEntries(Object.entries(inputs).filter(([name]) => name !== named));
}

export function withoutNotes(inputs: Properties): Properties {
  return Object.fromEntries(Object.entries(inputs).filter(([name]) => !name.startsWith('__')));
}

export function differences(
  type: string,
  olds: Properties,
  news: Properties,
  ignored: readonly string[],
): InputDifference[] {
  const [before, after] = [clearProperties(withoutNotes(olds)), clearProperties(withoutNotes(news))];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((name) => !ignored.includes(name));
  return names
    .filter((name) => !isDeepStrictEqual(before[name], after[name]))
    .map((argument) => ({
      argument,
      kind: before[argument] === undefined ? 'add' : after[argument] === undefined ? 'delete' : 'update',
      replaces: isReplacedBy(type, argument),
    }));
}

/** A name that the program chose is taken until its old bearer has gone. */
export function mustDeleteFirst(type: string, news: Properties): boolean {
  const named = NAMED_OTHERWISE[type] ?? 'name';
  const chosen = news[DEFAULTS];
  return news[named] !== undefined && !(Array.isArray(chosen) && chosen.includes(named));
}

/** Outputs of something that is only being previewed: what AWS decides is unknown. */
export function previewedOutputs(type: string, inputs: Properties): Properties {
  const unknown = sdkType(type).computed.map((name) => [name, UNKNOWN_WIRE]);
  return { ...withoutNotes(inputs), ...Object.fromEntries(unknown) };
}

/**
 * What refresh tells the engine: the values of AWS, in the secret wrapping that the engine already had around equal ones.
 */
export function refreshed(known: Properties, found: Properties): Properties {
  return Object.fromEntries(
    Object.entries(found).map(([name, value]) => [
      name,
      isDeepStrictEqual(clearOf(known[name]), value) ? known[name] : value,
    ]),
  );
}
