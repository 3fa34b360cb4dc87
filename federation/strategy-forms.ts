import { z } from 'zod';
import type { Strategy } from './strategy';

/**
 * The forms in which a plan may write a strategy: a name (`fedadam`), a name with its parameters (`{name: fedadam, lr: 0.1}`),
 * or the parts. Parsing always gives the parts, with every default filled in.
 */

const rate = (standard: number) => z.number().positive().max(1e3).default(standard);
const decay = (standard: number) => z.number().min(0).lt(1).default(standard);
const tau = z.number().positive().max(1).default(1e-3);

const momentum = { lr: rate(1), beta: decay(0.9) };
const adagrad = { lr: rate(0.1), beta1: decay(0), tau };
const adam = { lr: rate(0.1), beta1: decay(0.9), beta2: decay(0.99), tau };

/** How many updates may be hostile; also how many values are left out at each end of a coordinate. */
const few = z.number().int().min(1).max(499);
const trimmed = { beta: few.default(1) };
const smoothed = { smoothing: z.number().positive().max(1e6).default(1e-6) };
const hostile = { f: few.default(1) };
const several = { ...hostile, m: z.number().int().min(1).max(1000).default(3) };

const clip = z.number().positive().max(1e12).optional();

const proximal = { mu: z.number().positive().max(1e3).default(0.01) };

const clientRule = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('none') }),
  z.strictObject({ kind: z.literal('fedprox'), ...proximal }),
  z.strictObject({ kind: z.literal('scaffold') }),
]);
const combiner = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('weighted-mean') }),
  z.strictObject({ kind: z.literal('normalised-mean') }),
  z.strictObject({ kind: z.literal('median') }),
  z.strictObject({ kind: z.literal('trimmed-mean'), ...trimmed }),
  z.strictObject({ kind: z.literal('geometric-median'), ...smoothed }),
  z.strictObject({ kind: z.literal('krum'), ...hostile }),
  z.strictObject({ kind: z.literal('multikrum'), ...several }),
  z.strictObject({ kind: z.literal('bulyan'), ...hostile }),
]);
const serverOptimiser = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('replace') }),
  z.strictObject({ kind: z.literal('momentum'), ...momentum }),
  z.strictObject({ kind: z.literal('adagrad'), ...adagrad }),
  z.strictObject({ kind: z.literal('adam'), ...adam }),
  z.strictObject({ kind: z.literal('yogi'), ...adam }),
]);

export const strategyPartsSchema = z.strictObject({
  name: z.string().min(1).max(63).default('custom'),
  clientRule: clientRule.default({ kind: 'none' }),
  combiner,
  serverOptimiser: serverOptimiser.default({ kind: 'replace' }),
  clip,
});

type Parts = Omit<z.output<typeof strategyPartsSchema>, 'name' | 'clip'>;

/** What a name stands for where it says nothing else. */
const PLAIN: Parts = {
  clientRule: { kind: 'none' },
  combiner: { kind: 'weighted-mean' },
  serverOptimiser: { kind: 'replace' },
};

/** A name, its parameters, and the parts that they stand for. */
function shorthand<Shape extends z.ZodRawShape>(
  parameters: Shape,
  partsOf: (parameters: z.output<z.ZodObject<Shape>>) => Partial<Parts>,
) {
  return (name: string): z.ZodType<Strategy> =>
    z.strictObject({ name: z.literal(name), ...parameters, clip }).transform((written): Strategy => {
      const { name: _, clip, ...settings } = written as Record<string, unknown> & Pick<Strategy, 'clip'>;
      const parts = { ...PLAIN, ...partsOf(settings as z.output<z.ZodObject<Shape>>) };
      return { name, ...parts, ...(clip !== undefined && { clip }) };
    });
}

const SHORTHANDS: Readonly<Record<string, (name: string) => z.ZodType<Strategy>>> = {
  fedavg: shorthand({}, () => ({})),
  fedavgm: shorthand(momentum, (settings) => ({ serverOptimiser: { kind: 'momentum', ...settings } })),
  fedadagrad: shorthand(adagrad, (settings) => ({ serverOptimiser: { kind: 'adagrad', ...settings } })),
  fedadam: shorthand(adam, (settings) => ({ serverOptimiser: { kind: 'adam', ...settings } })),
  fedyogi: shorthand(adam, (settings) => ({ serverOptimiser: { kind: 'yogi', ...settings } })),
  fedprox: shorthand(proximal, (settings) => ({ clientRule: { kind: 'fedprox', ...settings } })),
  scaffold: shorthand({}, () => ({ clientRule: { kind: 'scaffold' } })),
  fednova: shorthand({}, () => ({ combiner: { kind: 'normalised-mean' } })),
  median: shorthand({}, () => ({ combiner: { kind: 'median' } })),
  'trimmed-mean': shorthand(trimmed, (settings) => ({ combiner: { kind: 'trimmed-mean', ...settings } })),
  'geometric-median': shorthand(smoothed, (settings) => ({ combiner: { kind: 'geometric-median', ...settings } })),
  krum: shorthand(hostile, (settings) => ({ combiner: { kind: 'krum', ...settings } })),
  multikrum: shorthand(several, (settings) => ({ combiner: { kind: 'multikrum', ...settings } })),
  bulyan: shorthand(hostile, (settings) => ({ combiner: { kind: 'bulyan', ...settings } })),
};

/** Names that a plan may write instead of parts. */
export const STRATEGY_NAMES: readonly string[] = Object.keys(SHORTHANDS);

/** For what names no strategy: says which names there are. */
const noName = z
  .object({ name: z.enum(STRATEGY_NAMES, { error: `must be one of ${STRATEGY_NAMES.join(', ')}` }) })
  .transform((): Strategy => z.NEVER);

/** Written so that the faults of the form that the user chose are reported, never "no alternative of a union matched". */
export const strategySchema = z.unknown().transform((value, context): Strategy => {
  const written = typeof value === 'string' ? { name: value } : value;
  const result = formOf(written).safeParse(written);
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        context.addIssue({
          code: 'custom',
          path: [...issue.path, key],
          message: 'is not known here; check the spelling or remove it',
        });
      }
    } else context.addIssue({ code: 'custom', path: [...issue.path], message: issue.message });
  }
  return z.NEVER;
});

/** The form that a user chose, so that its faults are reported and not those of the others. */
function formOf(written: unknown): z.ZodType<Strategy> {
  if (typeof written === 'object' && written !== null) {
    if ('combiner' in written) return strategyPartsSchema;
    const name = 'name' in written ? written.name : undefined;
    if (typeof name === 'string' && Object.hasOwn(SHORTHANDS, name)) return SHORTHANDS[name]!(name);
  }
  return noName;
}
