import { z } from 'zod';
import { ClaraError } from '../base/errors';
import { faultAt, faultsOf } from '../base/faults';
import { readYaml } from '../base/yaml';
import { AS_IT_IS, wireSchema } from './encodings/encoding';
import { IDENTITY_LABEL_RULE, isIdentityLabel } from './identity';
import { impossibleCombinations, matrixRules, statisticsRules, wireRules } from './plan-rules';
import { strategySchema } from './strategy-forms';

/**
 * A plan: what an investigator submits. The schema is total: everything wrong with a plan is reported at once, each fault
 * with its path, value and rule. Parsing fills in every default, so that a parsed plan says all that will happen.
 */

const MAX_PLAN_CHARACTERS = 1_000_000;

const name = (what: string) => z.string().refine(isIdentityLabel, `${what} ${IDENTITY_LABEL_RULE}`);

export const siteIdSchema = name('a site id');
export const trainerNameSchema = name('a trainer name');

/** `90s`, `10m`, `2h`, `1d`; kept as milliseconds. */
export const durationSchema = z
  .union([z.number().int().positive(), z.string()])
  .transform((value, context) => {
    if (typeof value === 'number') return value;
    const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(value.trim());
    if (match)
      return (
        Number(match[1]) * { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 }[match[2] as 'ms' | 's' | 'm' | 'h' | 'd']
      );
    context.addIssue({ code: 'custom', message: 'must be a duration such as 90s, 10m or 2h' });
    return z.NEVER;
  })
  .refine((millis) => millis >= 1000 && millis <= 30 * 86400e3, 'must be between 1s and 30d');

const initialModelSchema = z.discriminatedUnion('from', [
  z.strictObject({ from: z.literal('trainer') }),
  z.strictObject({ from: z.literal('run'), run: z.string().min(1).max(100) }),
  z.strictObject({
    from: z.literal('file'),
    /** Of a safetensors file that an operator uploaded before; kept as plain hexadecimal. */
    sha256: z
      .string()
      .regex(/^(sha256:)?[0-9a-f]{64}$/, 'must be the SHA-256 of an uploaded model: 64 of 0-9, a-f')
      .transform((text) => text.replace(/^sha256:/, '')),
  }),
]);

const regularExpression = z
  .string()
  .min(1)
  .max(200)
  .refine(isRegularExpression, 'must be a regular expression (ECMAScript)');

export const planSchema = z.strictObject({
  name: name('a plan name'),
  /**
   * Where round 1 starts: a site's trainer makes the weights, or it is the final model of an earlier run, or a file of the
   * operator. @default trainer
   */
  initialModel: initialModelSchema.default({ from: 'trainer' }),
  /** Which trainer every site must be configured with, and what it is told. */
  trainer: z.strictObject({
    name: trainerNameSchema,
    parameters: z.record(z.string().min(1).max(100), z.json()).default({}),
  }),
  /** Which sites take part: every enrolled site, or those named. @default all */
  cohort: z
    .union([z.literal('all'), z.array(siteIdSchema).min(1, 'must name at least one site').max(1000)])
    .default('all'),
  rounds: z.number().int().min(1).max(10_000),
  /** How many updates a round needs to close. @default all of the cohort */
  quorum: z.union([z.literal('all'), z.number().int().min(1)]).default('all'),
  /** The one deadline: how long each stage, and the wait for approvals, may take. @default 1h */
  deadline: durationSchema.default(3600e3),
  /** What happens to an update that comes after its round closed. */
  lateUpdates: z.literal('drop').default('drop'),
  mode: z.literal('synchronous').default('synchronous'),
  strategy: strategySchema.default({
    name: 'fedavg',
    clientRule: { kind: 'none' },
    combiner: { kind: 'weighted-mean' },
    serverOptimiser: { kind: 'replace' },
  }),
  /** Factor on a site's number of samples in weighted means. @default 1 for every site */
  siteWeights: z.record(siteIdSchema, z.number().positive().max(1e6)).default({}),
  /** Tensors whose name matches keep the initial model's values and never leave a site. */
  excludedTensors: z.array(regularExpression).max(100).default([]),
  /** How updates (up) and models (down) of federated rounds are encoded on their way. @default float32, as they are */
  wire: wireSchema.default({ up: AS_IT_IS, down: AS_IT_IS }),
  evaluation: z
    .strictObject({
      /** Every site judges the global model on its held-out cases after each round. @default true */
      everyRound: z.boolean().default(true),
      /**
       * At the end, each site trains alone from the initial model for as many rounds, and every site judges all these models
       * and the global one: what federation bought. @default false
       */
      siteModels: z.boolean().default(false),
      /**
       * At the end, every site judges the global model and each site's update of the last round. Costs no training; each site's
       * update is seen by the other sites. @default false
       */
      crossSite: z.boolean().default(false),
    })
    .default({ everyRound: true, siteModels: false, crossSite: false }),
  /**
   * Makes the run one of statistics: nothing is trained; each site counts its own images, and tells what its own policy lets go.
   * @default none: a run that trains
   */
  statistics: z
    .strictObject({
      /** Of every histogram. @default 64 */
      bins: z.number().int().min(2).max(256).default(64),
      /** Hounsfield units at which histograms of intensities begin. @default -1024 */
      low: z.number().min(-1e6).max(1e6).default(-1024),
      /** Where they end; this value itself lies outside. @default 3072 */
      high: z.number().min(-1e6).max(1e6).default(3072),
    })
    .refine(({ low, high }) => high > low, 'high must lie above low')
    .optional(),
  /** Unsigned 32-bit. The same plan, seed and data give a model of the same bytes. @default 1 */
  seed: z.number().int().min(0).max(0xffffffff).default(1),
});

/** The fields that {@link impossibleCombinations} reads, whatever else stands beside them. */
const ruledFieldsSchema = z.object(
  planSchema.pick({ cohort: true, quorum: true, strategy: true, siteWeights: true }).shape,
);

/** As above, for {@link matrixRules}. */
const matrixFieldsSchema = z.object(planSchema.pick({ strategy: true, evaluation: true }).shape);

/** As above, for {@link statisticsRules}. */
const statisticsFieldsSchema = z.object(
  planSchema.pick({ rounds: true, initialModel: true, evaluation: true, statistics: true }).shape,
);

/** As above, for {@link wireRules}. */
const wireFieldsSchema = z.object(planSchema.pick({ strategy: true, statistics: true, wire: true }).shape);

export type Plan = z.output<typeof planSchema>;
/** What a user writes: defaults may be left out. */
export type PlanInput = z.input<typeof planSchema>;

/**
 * Parses YAML or JSON text into a plan.
 * @throws ClaraError `invalid-input` with every fault.
 */
export function parsePlan(text: string): Plan {
  return checkPlan(planDocument(text));
}

/** What a plan's text says, unchecked. @throws ClaraError `invalid-input` when it is neither YAML nor JSON */
export function planDocument(text: string): unknown {
  return readYaml(text, { what: 'the plan', maxCharacters: MAX_PLAN_CHARACTERS });
}

/** As {@link parsePlan}, for a document that is already parsed. */
export function checkPlan(document: unknown): Plan {
  const result = planSchema.safeParse(document);
  const faults = result.success ? [] : faultsOf(result.error, document);
  // The rules between fields are checked even when other fields are wrong, so that nobody mends a plan twice.
  const ruled = result.success ? result : ruledFieldsSchema.safeParse(document);
  if (ruled.success) {
    for (const { path, rule } of impossibleCombinations(ruled.data)) faults.push(faultAt(path, document, rule));
  }
  const crossed = result.success ? result : matrixFieldsSchema.safeParse(document);
  if (crossed.success) {
    for (const { path, rule } of matrixRules(crossed.data)) faults.push(faultAt(path, document, rule));
  }
  const counted = result.success ? result : statisticsFieldsSchema.safeParse(document);
  if (counted.success) {
    for (const { path, rule } of statisticsRules(counted.data)) faults.push(faultAt(path, document, rule));
  }
  const sent = result.success ? result : wireFieldsSchema.safeParse(document);
  if (sent.success) for (const { path, rule } of wireRules(sent.data)) faults.push(faultAt(path, document, rule));
  if (faults.length > 0 || !result.success) throw ClaraError.ofFaults('the plan', faults);
  return result.data;
}

function isRegularExpression(text: string): boolean {
  try {
    new RegExp(text, 'u');
    return true;
  } catch {
    return false;
  }
}
