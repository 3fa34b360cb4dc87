import { z } from 'zod';

/**
 * Strategy = client rule x combiner x server optimiser. Users may write a name they know (`fedavg`), a name with
 * parameters (`{name: fedadam, lr: 0.1}`) or the three parts; parsing always gives the three parts.
 */

export type ClientRule = { readonly kind: 'none' };

/** How the updates of a round become one: McMahan 2017 (mean weighted by samples), Yin 2018 (coordinate-wise median). */
export type Combiner = { readonly kind: 'weighted-mean' } | { readonly kind: 'median' };

/**
 * How the combined update moves the global model; delta = combined - model.
 * - replace: model <- combined.
 * - momentum: v <- beta v + delta; model <- model + lr v (FedAvgM, Hsu 2019, section 3).
 * - adam: m <- b1 m + (1-b1) delta; v <- b2 v + (1-b2) delta^2; model <- model + lr m / (sqrt(v) + tau)
 *   (FedAdam, Reddi 2021, algorithm 2; no bias correction, v starts at tau^2).
 */
export type ServerOptimiser =
  | { readonly kind: 'replace' }
  | { readonly kind: 'momentum'; readonly lr: number; readonly beta: number }
  | {
      readonly kind: 'adam';
      readonly lr: number;
      readonly beta1: number;
      readonly beta2: number;
      readonly tau: number;
    };

export interface Strategy {
  /** The name that a person reads: a shorthand, or `custom`. */
  readonly name: string;
  readonly clientRule: ClientRule;
  readonly combiner: Combiner;
  readonly serverOptimiser: ServerOptimiser;
}

const lr = (standard: number) => z.number().positive().max(1e3).default(standard);
const decay = (standard: number) => z.number().min(0).lt(1).default(standard);

const momentum = { lr: lr(1), beta: decay(0.9) };
const adam = { lr: lr(0.1), beta1: decay(0.9), beta2: decay(0.99), tau: z.number().positive().max(1).default(1e-3) };

const mean: Combiner = { kind: 'weighted-mean' };
const none: ClientRule = { kind: 'none' };
const replace: ServerOptimiser = { kind: 'replace' };

const SHORTHANDS = ['fedavg', 'fedavgm', 'fedadam', 'median'] as const;

const named = z.discriminatedUnion(
  'name',
  [
    z
      .strictObject({ name: z.literal('fedavg') })
      .transform(({ name }): Strategy => ({ name, clientRule: none, combiner: mean, serverOptimiser: replace })),
    z.strictObject({ name: z.literal('fedavgm'), ...momentum }).transform(
      ({ name, ...rest }): Strategy => ({
        name,
        clientRule: none,
        combiner: mean,
        serverOptimiser: { kind: 'momentum', ...rest },
      }),
    ),
    z.strictObject({ name: z.literal('fedadam'), ...adam }).transform(
      ({ name, ...rest }): Strategy => ({
        name,
        clientRule: none,
        combiner: mean,
        serverOptimiser: { kind: 'adam', ...rest },
      }),
    ),
    z
      .strictObject({ name: z.literal('median') })
      .transform(
        ({ name }): Strategy => ({ name, clientRule: none, combiner: { kind: 'median' }, serverOptimiser: replace }),
      ),
  ],
  { error: `must be one of ${SHORTHANDS.join(', ')}` },
);

const parts = z
  .strictObject({
    name: z.string().min(1).max(63).default('custom'),
    clientRule: z.discriminatedUnion('kind', [z.strictObject({ kind: z.literal('none') })]).default(none),
    combiner: z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('weighted-mean') }),
      z.strictObject({ kind: z.literal('median') }),
    ]),
    serverOptimiser: z
      .discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('replace') }),
        z.strictObject({ kind: z.literal('momentum'), ...momentum }),
        z.strictObject({ kind: z.literal('adam'), ...adam }),
      ])
      .default(replace),
  })
  .transform((strategy): Strategy => strategy);

const isParts = (value: unknown): boolean => typeof value === 'object' && value !== null && 'combiner' in value;

/** Written so that the faults of the form that the user chose are reported, never "no alternative of a union matched". */
export const strategySchema = z.unknown().transform((value, context): Strategy => {
  const chosen = isParts(value) ? parts : named;
  const result = chosen.safeParse(typeof value === 'string' ? { name: value } : value);
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
