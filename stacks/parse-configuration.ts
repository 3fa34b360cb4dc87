import type { z } from 'zod';
import { DeploymentInputError, type Fault, faultsOf } from '../components/faults';
import { ownKeys, PROJECT, type RawConfiguration, textOf } from './raw-configuration';

export interface ConfigurationRules<Schema extends z.ZodObject> {
  readonly schema: Schema;
  /** Keys whose values are text; all others reach the program as JSON. */
  readonly textKeys: readonly string[];
  /** Keys that only other roles have: Pulumi.yaml gives them defaults, so they appear in every stack. */
  readonly otherRoles: readonly string[];
  /** Rules between two values. They see the input before it is parsed, so that they are reported beside the faults of values. */
  readonly cross: (input: Readonly<Record<string, unknown>>, stack: string) => readonly Fault[];
}

/**
 * The typed configuration of a stack.
 *
 * @throws DeploymentInputError with every fault: key, value, rule
 */
export function parseConfiguration<Schema extends z.ZodObject>(
  { schema, textKeys, otherRoles, cross }: ConfigurationRules<Schema>,
  raw: RawConfiguration,
  stack: string,
): z.output<Schema> {
  const input: Record<string, unknown> = {};
  for (const key of ownKeys(raw)) {
    const value = textOf(raw, key);
    if (value !== undefined && !otherRoles.includes(key)) {
      input[key] = textKeys.includes(key) ? value : parsedJson(value);
    }
  }
  const result = schema.safeParse(input);
  const faults = [...(result.success ? [] : faultsOf(result.error, input)), ...cross(input, stack)];
  if (result.success && faults.length === 0) return result.data;
  const named = faults.map((fault) => ({ ...fault, path: `${PROJECT}:${fault.path}` }));
  throw new DeploymentInputError(`The configuration of stack ${stack}`, named);
}

/** A fault of one key, with the value that is there. */
export function keyFault(input: Readonly<Record<string, unknown>>, path: string, rule: string): Fault {
  const value = path.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], input);
  return { path, ...(value !== undefined && { value: JSON.stringify(value) }), rule };
}

/** Text that is no JSON stays text, and the rule of its key then says what it should have been. */
function parsedJson(value: string): unknown {
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}
