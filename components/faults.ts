import * as pulumi from '@pulumi/pulumi';
import type { z } from 'zod';

/**
 * How an infrastructure program refuses its input: whole, before the first resource, with every broken rule at once.
 * The components import nothing else of the platform, so this family is theirs.
 */

/** One broken rule: where, what was found there, and the rule in words that say how to satisfy it. */
export interface Fault {
  /** Dotted path of the argument or the configuration key, for example `subnets.euw2-az1`. */
  readonly path: string;
  /** What was found, as JSON, shortened. Absent when nothing was there. */
  readonly value?: string;
  readonly rule: string;
}

/**
 * Arguments or configuration that cannot be deployed. A `RunError`, so that `pulumi up` prints the message without a
 * stack trace: the reader's mistake is in a file of theirs, not in this code.
 */
export class DeploymentInputError extends pulumi.RunError {
  readonly faults: readonly Fault[];

  constructor(what: string, faults: readonly Fault[]) {
    super(`${what} has ${faults.length} ${faults.length === 1 ? 'fault' : 'faults'}:\n${faults.map(line).join('\n')}`);
    this.faults = faults;
    // The SDK renders the stack for its trace even where it hides it, and in Node 20.20 that loops, half a minute long, on
    // the source-mapped frame "@pulumi/resource.ts" (util.inspect with colours). Without a stack there is nothing to render.
    this.stack = '';
  }
}

/** Parses `input`, or throws one {@link DeploymentInputError} that lists every fault. */
export function checked<Schema extends z.ZodType>(what: string, schema: Schema, input: unknown): z.output<Schema> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw new DeploymentInputError(what, faultsOf(result.error, input));
}

/** The issues of zod in our words; an unknown key becomes a fault of its own. */
export function faultsOf(error: z.ZodError, input: unknown): Fault[] {
  return error.issues.flatMap((issue): Fault[] => {
    const path = issue.path.map(String);
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => fault([...path, key], input, 'is not known here; remove it or correct its name'));
    }
    return [fault(path, input, issue.message)];
  });
}

function fault(path: readonly string[], input: unknown, rule: string): Fault {
  const value = path.reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], input);
  return { path: path.join('.') || 'input', ...(value === undefined ? {} : { value: shown(value) }), rule };
}

/** Outputs must not be rendered: their JSON is an error message of the Pulumi SDK. */
function shown(value: unknown): string {
  if (pulumi.Output.isInstance(value)) return 'an output';
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

function line({ path, value, rule }: Fault): string {
  return `  ${path}${value === undefined ? '' : ` (${value})`}: ${rule}`;
}
