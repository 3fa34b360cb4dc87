import type { z } from 'zod';
import { type Fault, showValue } from './errors';

/** Every fault of a zod error, with the value found at its path; an unknown key becomes a fault of its own. */
export function faultsOf(error: z.ZodError, document: unknown): Fault[] {
  return error.issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) =>
        faultAt([...issue.path, key], document, 'is not known here; check the spelling or remove it'),
      );
    }
    return [faultAt(issue.path, document, issue.message)];
  });
}

/** A broken rule at a path of a document, with the value that is there. */
export function faultAt(path: readonly PropertyKey[], document: unknown, rule: string): Fault {
  const value = path.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null ? (inner as Record<PropertyKey, unknown>)[key] : undefined,
    document,
  );
  return { path: path.map(String).join('.'), ...(value === undefined ? {} : { value: showValue(value) }), rule };
}
