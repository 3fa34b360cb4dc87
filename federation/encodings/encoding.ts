import { z } from 'zod';

/**
 * How models and updates travel: the `wire` of a plan, one encoding a direction. A user may write a name (`int8`) or a name
 * with its settings (`{encoding: int8, rounding: stochastic}`); parsing always gives the settings.
 *
 * - float32: in the types that the model has.
 * - float16, bfloat16: 16 bits a number (IEEE 754 binary16; the upper half of binary32), rounded to nearest even.
 * - int8: one byte a number and one float32 scale a block, see int8.ts.
 * - top-k: the largest changes of each block only; the others wait on the site, see top-k.ts.
 *
 * With `delta` an update travels as its difference to the model that the site trained from.
 */
export type Encoding =
  | { readonly encoding: 'float32' | 'float16' | 'bfloat16'; readonly delta: boolean }
  | { readonly encoding: 'int8'; readonly delta: boolean; readonly rounding: Rounding }
  | { readonly encoding: 'top-k'; readonly delta: true; readonly fraction: number };

/** To the nearest code, ties to even; or up or down by chance, so that the mean of many is right. */
export type Rounding = 'nearest' | 'stochastic';

export interface Wire {
  readonly up: Encoding;
  readonly down: Encoding;
}

/** Nothing is encoded: files travel as they are. */
export const AS_IT_IS = { encoding: 'float32', delta: false } as const satisfies Encoding;

export function isAsItIs({ encoding, delta }: Encoding): boolean {
  return encoding === 'float32' && !delta;
}

/** The same encoding has the same text. */
export function describeEncoding(encoding: Encoding): string {
  return JSON.stringify(Object.fromEntries(Object.entries(encoding).sort(([a], [b]) => (a < b ? -1 : 1))));
}

const rounding = z.enum(['nearest', 'stochastic']).default('nearest');
/** Beyond a half, values and indices are as long as all values. */
const fraction = z.number().gt(0, 'must be above 0').max(0.5, 'must be at most 0.5; above it nothing is saved');
const delta = z.boolean().default(false);
const always = z
  .literal(true, { error: 'cannot be false: top-k sends the largest changes of the model, not the model' })
  .default(true);
const never = z
  .literal(false, { error: 'cannot be true: a site does not keep the model of the round before' })
  .default(false);

const plain = ['float32', 'float16', 'bfloat16'] as const;

const upSchema = z.discriminatedUnion(
  'encoding',
  [
    z.strictObject({ encoding: z.enum(plain), delta }),
    z.strictObject({ encoding: z.literal('int8'), delta, rounding }),
    z.strictObject({ encoding: z.literal('top-k'), delta: always, fraction }),
  ],
  { error: 'must be one of float32, float16, bfloat16, int8, top-k' },
);

const downSchema = z.discriminatedUnion(
  'encoding',
  [
    z.strictObject({ encoding: z.enum(plain), delta: never }),
    z.strictObject({ encoding: z.literal('int8'), delta: never, rounding }),
  ],
  { error: 'must be one of float32, float16, bfloat16, int8; top-k is for updates (wire.up)' },
);

/** A name stands for the encoding with its defaults. */
const named = (value: unknown): unknown => (typeof value === 'string' ? { encoding: value } : value);

export const wireSchema = z
  .strictObject({
    up: z.preprocess(named, upSchema).default(AS_IT_IS),
    down: z.preprocess(named, downSchema).default(AS_IT_IS),
  })
  .transform((wire): Wire => wire);
