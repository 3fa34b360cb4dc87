import { isObject } from './properties';

/**
 * What stands, in a preview, for a value that only the cloud will know. A finding about it is dropped: the value comes from
 * another resource, and the update checks again when it is known.
 */
export const UNKNOWN: Readonly<Record<string, unknown>> = Object.freeze({});

/**
 * A copy without traps: the engine's SDK throws where an unknown value is read (`@pulumi/policy`, UnknownValueError), and a rule
 * would end at the first one and say nothing of the rest.
 */
export function known(value: unknown): unknown {
  if (value === UNKNOWN) return UNKNOWN;
  if (Array.isArray(value)) return Array.from({ length: value.length }, (_, index) => known(read(value, index)));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.keys(value).map((key) => [key, known(read(value, key))]));
}

function read(value: object, key: string | number): unknown {
  try {
    return (value as Record<string | number, unknown>)[key];
  } catch {
    return UNKNOWN;
  }
}
