import type { z } from 'zod';
import { type Fault, showValue } from '../../base/errors';

/** Every issue of a zod error as a fault, with the value that was found in `input`. */
export function faultsOf(error: z.ZodError, input: unknown): Fault[] {
  return error.issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => fault([...issue.path, key], input, 'is not known here; remove it'));
    }
    return [fault(issue.path, input, issue.message)];
  });
}

function fault(at: readonly PropertyKey[], input: unknown, rule: string): Fault {
  const found = at.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], input);
  return { path: at.join('.'), value: found === undefined ? undefined : showValue(found), rule };
}
