import { z } from 'zod';
import { ClaraError } from '../base/errors';
import { faultAt, faultsOf } from '../base/faults';
import { readYaml } from '../base/yaml';
import { cohortSchema, siteIdSchema } from './cohort';
import { budgetSchema, bufferSchema, earlyStopSchema, MODES } from './course';
import { durationSchema } from './duration';
import { AS_IT_IS, wireSchema } from './encodings/encoding';
import { IDENTITY_LABEL_RULE, isIdentityLabel } from './identity';
import { modelNameSchema, modelVersionSchema } from './model-name';
import { NORMALISATION_RULES } from './normalisation';
import { impossibleCombinations, matrixRules, statisticsRules, transferRules, wireRules } from './plan-rules';
import { strategySchema } from './strategy-forms';

/**
 * A plan: what an investigator submits. The schema is total: everything wrong with a plan is reported at once, each fault
 * with its path, value and rule. Parsing fills in every default, so that a parsed plan says all that will happen.
 */

const MAX_PLAN_CHARACTERS = 1_000_000;

const name = (what: string) => z.string().refine(isIdentityLabel, `${what} ${IDENTITY_LABEL_RULE}`);

export const trainerNameSchema = name('a trainer name');

const regularExpression = z
  .string()
  .min(1)
  .max(200)
  .refine(isRegularExpression, 'must be a regular expression (ECMAScript)');

const transfer = {
  /**
   * Tensors whose name matches are not taken over: a trainer makes them anew, with the plan's seed, and maybe in other shapes.
   * @default none
   */
  reinitialise: z.array(regularExpression).min(1, 'must name at least one pattern').max(100).optional(),
};

const initialModelSchema = z.discriminatedUnion('from', [
  z.strictObject({ from: z.literal('trainer') }),
  z.strictObject({ from: z.literal('run'), run: z.string().min(1).max(100), ...transfer }),
  z.strictObject({ from: z.literal('registry'), model: modelNameSchema, version: modelVersionSchema, ...transfer }),
  z.strictObject({
    from: z.literal('file'),
    ...transfer,
    /** Of a safetensors file that an operator uploaded before; kept as plain hexadecimal. */
    sha256: z
      .string()
      .regex(/^(sha256:)?[0-9a-f]{64}$/, 'must be the SHA-256 of an uploaded model: 64 of 0-9, a-f')
      .transform((text) => text.replace(/^sha256:/, '')),
  }),
]);

export const planSchema = z.strictObject({
  name: name('a plan name'),
  /**
   * Where round 1 starts: a site's trainer makes the weights, or it is the final model of an earlier run, a version in the
   * registry, or a file of the operator. @default trainer
   */
  initialModel: initialModelSchema.default({ from: 'trainer' }),
  /** Which trainer every site must be configured with, and what it is told. */
  trainer: z.strictObject({
    name: trainerNameSchema,
    parameters: z.record(z.string().min(1).max(100), z.json()).default({}),
  }),
  /** Which sites take part: every enrolled site, those named, or so many that are drawn for each round. @default all */
  cohort: cohortSchema.default('all'),
  /** Sites without which no round closes; they are in every sample. @default none */
  mandatory: z.array(siteIdSchema).max(1000).optional(),
  rounds: z.number().int().min(1).max(10_000),
  /** How many updates a round needs to close. @default all of the cohort */
  quorum: z.union([z.literal('all'), z.number().int().min(1)]).default('all'),
  /** The one deadline: how long each stage, and the wait for approvals, may take. @default 1h */
  deadline: durationSchema.default(3600e3),
  /** What happens to an update that comes after its round closed. */
  lateUpdates: z.enum(['drop', 'next-round', 'buffer']).default('drop'),
  mode: z.enum(MODES).default('synchronous'),
  /** Of updates that did not start from the newest model; asynchronous runs and `lateUpdates: buffer` have one. */
  buffer: bufferSchema.optional(),
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
  /** Tensors whose name matches are not trained: they keep the initial model's values, and are not sent with updates. */
  frozenTensors: z.array(regularExpression).max(100).default([]),
  /** What becomes of the running statistics of batch normalisation; see normalisation.ts. @default average */
  normalisationStatistics: z.enum(NORMALISATION_RULES).default('average'),
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
  /** The run ends when the global model does not get better any more. @default never */
  earlyStop: earlyStopSchema.optional(),
  /** The run ends when this is spent. @default unlimited */
  budget: budgetSchema.optional(),
  /** Unsigned 32-bit. The same plan, seed and data give a model of the same bytes. @default 1 */
  seed: z.number().int().min(0).max(0xffffffff).default(1),
});

/** The fields that {@link impossibleCombinations} reads, whatever else stands beside them. */
const ruledFieldsSchema = z.object(
  planSchema.pick({
    cohort: true,
    mandatory: true,
    quorum: true,
    lateUpdates: true,
    mode: true,
    buffer: true,
    strategy: true,
    siteWeights: true,
    evaluation: true,
    earlyStop: true,
  }).shape,
);

/** As above, for {@link matrixRules}. */
const matrixFieldsSchema = z.object(planSchema.pick({ strategy: true, evaluation: true }).shape);

/** As above, for {@link transferRules}. */
const transferFieldsSchema = z.object(
  planSchema.pick({ initialModel: true, frozenTensors: true, statistics: true }).shape,
);

/** As above, for {@link statisticsRules}. */
const statisticsFieldsSchema = z.object(
  planSchema.pick({
    rounds: true,
    initialModel: true,
    evaluation: true,
    normalisationStatistics: true,
    statistics: true,
  }).shape,
);

/** As above, for {@link wireRules}. */
const wireFieldsSchema = z.object(planSchema.pick({ strategy: true, mode: true, statistics: true, wire: true }).shape);

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
  const transferred = result.success ? result : transferFieldsSchema.safeParse(document);
  if (transferred.success) {
    for (const { path, rule } of transferRules(transferred.data)) faults.push(faultAt(path, document, rule));
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
