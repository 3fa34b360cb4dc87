import { z } from 'zod';
import { durationSchema } from './duration';
import { lessIsBetter } from './metric-direction';

/** Keys of a plan that say how its rounds follow each other, and when they end. */

export const MODES = ['synchronous', 'asynchronous', 'cyclic'] as const;

/**
 * Updates that did not start from the newest model wait in a buffer; a buffered update u that started from model b counts as
 * m + step / sqrt(1 + tau) (u - b), where m is the model that it is combined with and tau, its staleness, the number of
 * models published in between (FedBuff, Nguyen 2022, algorithm 1).
 */
export const bufferSchema = z.strictObject({
  /** K: they are combined when so many are there. */
  size: z.number().int().min(1).max(10_000),
  /** A site whose update would be staler is not waited for any longer. @default 10 */
  maxStaleness: z.number().int().min(1).max(1000).default(10),
  /** Factor on the step of every buffered update: the server's learning rate. @default 1 */
  step: z.number().positive().max(1e3).default(1),
});

export const earlyStopSchema = z
  .strictObject({
    /** Of the evaluation of the global model, as the trainer reports it; a mean over the sites, weighted by samples. */
    metric: z.string().min(1).max(100),
    /** After so many rounds in a row without a better value the run ends. */
    patience: z.number().int().min(1).max(10_000),
    /** What counts as better. @default 0: anything */
    minimumDelta: z.number().min(0).max(1e9).default(0),
    /** Whether more or less of the metric is better. @default less of losses, errors and distances, more of everything else */
    mode: z.enum(['max', 'min']).optional(),
  })
  .transform(({ mode, ...stop }) => ({ ...stop, mode: mode ?? (lessIsBetter(stop.metric) ? 'min' : 'max') }) as const);

/** Looked at when a round has ended: a round that has begun is finished. */
export const budgetSchema = z
  .strictObject({
    /** Since submission, pauses not counted. */
    wallTime: durationSchema.optional(),
    rounds: z.number().int().min(1).max(10_000).optional(),
    /** Of models, in both directions together. */
    bytes: z
      .number()
      .int()
      .min(1)
      .max(2 ** 50)
      .optional(),
  })
  .refine((budget) => Object.values(budget).some((value) => value !== undefined), 'must limit something');

export type Buffering = z.output<typeof bufferSchema>;
export type EarlyStop = z.output<typeof earlyStopSchema>;
export type Budget = z.output<typeof budgetSchema>;
