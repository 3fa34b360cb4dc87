import { z } from 'zod';

/**
 * The trainer contract, protocol 1: a trainer is any program that is started with a folder, reads `task.json` there, and
 * leaves `report.json` (and a model, when the task asks for one). What each file holds is fixed by the schemas below; the
 * agent that runs a trainer and the reference trainer both parse with them. See docs/trainer-contract.md.
 */
export const TRAINER_PROTOCOL = 1;

/** File names inside a task folder. */
export const TASK_FILE = 'task.json';
export const REPORT_FILE = 'report.json';
export const STATE_FOLDER = 'state';
/** The folder is the program's last argument and also in this environment variable. */
export const TASK_FOLDER_VARIABLE = 'CLARA_FED_TASK_DIR';

/** A name of a file inside the task folder: no separators that climb, no absolute paths. */
const innerPath = z
  .string()
  .max(200)
  .regex(
    /^[A-Za-z0-9_][A-Za-z0-9._-]*(\/[A-Za-z0-9_][A-Za-z0-9._-]*)*$/,
    'must be a relative path inside the task folder',
  );

/** Finite numbers only: JSON has no NaN, and a metric that is not a number is no metric. */
export const metricsSchema = z.record(z.string().min(1).max(100), z.number());
export type Metrics = z.infer<typeof metricsSchema>;
/** In one report, of training or of one model: they are in the coordinator's journal for good. */
export const MAX_METRICS = 100;
const reportedMetrics = metricsSchema.refine(
  (metrics) => Object.keys(metrics).length <= MAX_METRICS,
  `must be ${MAX_METRICS} metrics at most`,
);

const common = {
  protocol: z.literal(TRAINER_PROTOCOL),
  /** Stays the same when an interrupted task is started again in the same folder. */
  task: z.string().min(1).max(200),
  run: z.string().min(1).max(100),
  /** Rounds count from 1; 0 is the initial model. */
  round: z.number().int().min(0),
  /** How many rounds the plan has, for schedules that need the end (cosine learning rate). */
  rounds: z.number().int().min(1),
  site: z.string().min(1).max(100),
  /** Unsigned 32-bit; the same seed, model and data must give the same bytes. */
  seed: z.number().int().min(0).max(0xffffffff),
  /** RFC 3339 time on the site's own clock after which the agent stops the trainer. */
  deadline: z.iso.datetime(),
  dataset: z.object({ kind: z.enum(['decathlon', 'none']), path: z.string() }),
  /** From the plan, unread by anyone but the trainer. */
  parameters: z.record(z.string(), z.json()),
};

export const initialiseTaskSchema = z.object({
  ...common,
  kind: z.literal('initialise'),
  model: z.object({
    /** A model to take tensors over from; with `reinitialise` only. */
    input: innerPath.optional(),
    output: innerPath,
  }),
  /**
   * Regular expressions (ECMAScript, unicode): tensors whose name matches are made anew, in whatever shape `parameters` ask for;
   * all others are those of the input, byte for byte.
   */
  reinitialise: z.array(z.string().min(1).max(200)).min(1).max(100).optional(),
});
/**
 * What the plan's strategy asks of the training itself. A trainer that does not know the kind refuses the task with exit code 64.
 * - fedprox: mu / 2 |w - input|^2 beside the loss: add mu (w - input) to every gradient.
 * - scaffold: add c - c_i to every gradient; c_i, this site's control, is kept in the state and starts at zero. The new c_i is the
 *   mean of the gradients of this task before anything was added.
 */
const trainingRuleSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('fedprox'), mu: z.number().positive() }),
  z.object({
    kind: z.literal('scaffold'),
    /** Input: the control variate of all sites; absent in round 1, where it is zero. Output: this site's new one. */
    controls: z.object({ input: innerPath.optional(), output: innerPath }),
  }),
]);
export type TrainingRule = z.infer<typeof trainingRuleSchema>;

export const trainTaskSchema = z.object({
  ...common,
  kind: z.literal('train'),
  model: z.object({ input: innerPath, output: innerPath }),
  /** Absent: the trainer trains as it does. */
  rule: trainingRuleSchema.optional(),
  /** Regular expressions (ECMAScript, unicode): tensors whose name matches are not trained. */
  frozen: z.array(z.string().min(1).max(200)).min(1).max(100).optional(),
});
export const evaluateTaskSchema = z.object({
  ...common,
  kind: z.literal('evaluate'),
  /** Each is evaluated on the site's held-out cases. */
  models: z
    .array(z.object({ name: z.string().min(1).max(100), file: innerPath }))
    .min(1)
    .max(1000),
});
export const MAX_BINS = 256;
export const MAX_VARIABLES = 64;

const range = z.tuple([z.number(), z.number()]).refine(([low, high]) => high > low, 'must end above its beginning');

export const statisticsTaskSchema = z.object({
  ...common,
  kind: z.literal('statistics'),
  /** Histograms have this many bins of equal width over these ranges: Hounsfield units, mm, voxels, ml. */
  statistics: z.object({
    bins: z.number().int().min(2).max(MAX_BINS),
    ranges: z.object({ intensity: range, spacing: range, size: range, volume: range }),
  }),
});
export const trainerTaskSchema = z.discriminatedUnion('kind', [
  initialiseTaskSchema,
  trainTaskSchema,
  evaluateTaskSchema,
  statisticsTaskSchema,
]);

export type InitialiseTask = z.infer<typeof initialiseTaskSchema>;
export type TrainTask = z.infer<typeof trainTaskSchema>;
export type EvaluateTask = z.infer<typeof evaluateTaskSchema>;
export type StatisticsTask = z.infer<typeof statisticsTaskSchema>;
export type TrainerTask = z.infer<typeof trainerTaskSchema>;
export type TaskKind = TrainerTask['kind'];

/** What every form of a variable says about itself. Names are the trainer's; those of the reference trainer are documented. */
export const variableFields = {
  name: z.string().regex(/^[a-z][a-z0-9-]{0,40}$/, 'must be 1 to 41 of a-z, 0-9, -, and begin with a letter'),
  unit: z.string().max(20),
  low: z.number(),
  high: z.number(),
};

const column = z
  .array(z.number().min(0))
  .min(4)
  .max(MAX_BINS + 2);
const wholes = z
  .array(z.number().int().min(0))
  .min(4)
  .max(MAX_BINS + 2);

/** Sums of one variable in bins + 2 places: below the range, its bins, at or above its end. */
const rawVariableSchema = z
  .object({
    ...variableFields,
    /** Values. */
    counts: wholes,
    /** Cases with at least one value there. */
    cases: wholes,
    means: z
      .array(z.number())
      .min(4)
      .max(MAX_BINS + 2),
    /** Sums of squared differences from the mean. */
    m2s: column,
    /** Each case spreads 10 000 units over the places, by its values and rounded down. */
    shares: wholes,
    minimum: z.number(),
    maximum: z.number(),
  })
  .refine(
    ({ counts, cases, means, m2s, shares }) =>
      [cases, means, m2s, shares].every(({ length }) => length === counts.length),
    'all columns must have the same length',
  );
export type RawVariable = z.infer<typeof rawVariableSchema>;

/** A trainer's answer to a task of kind `statistics`. It stays at the site: the agent decides what of it may leave. */
export const rawStatisticsSchema = z.object({
  cases: z.number().int().min(0),
  variables: z
    .array(rawVariableSchema)
    .max(MAX_VARIABLES)
    .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'must name each variable once'),
});
export type RawStatistics = z.infer<typeof rawStatisticsSchema>;

export const trainerReportSchema = z.object({
  protocol: z.literal(TRAINER_PROTOCOL),
  /** Training cases behind the update: its weight in the average. Evaluation: held-out cases. */
  samples: z.number().int().min(0),
  /** Optimiser steps done in this task; 0 says that the trainer does not count them. */
  steps: z.number().int().min(0).default(0),
  metrics: reportedMetrics.default({}),
  /** Evaluation only: one entry a model of the task. */
  evaluations: z.array(z.object({ model: z.string().min(1), metrics: reportedMetrics })).default([]),
  warnings: z.array(z.string().max(1000)).max(100).default([]),
  /** Of a task of kind `statistics` only. */
  statistics: rawStatisticsSchema.optional(),
});
export type TrainerReport = z.infer<typeof trainerReportSchema>;

/** A line on stdout that parses as this is progress; every other line is log text. */
export const progressLineSchema = z.object({
  progress: z.number().min(0).max(1),
  step: z.number().int().min(0).optional(),
  metrics: metricsSchema.optional(),
});
export type ProgressLine = z.infer<typeof progressLineSchema>;

/**
 * What plans need of a trainer beyond plain training. A trainer of an older day ignores what it does not know, so the
 * site's configuration says what its trainer supports, and `clara-fed trainer check` proves it.
 * - fedprox, scaffold: it applies the rule of that name.
 * - fednova: its report counts its steps.
 * - frozen: it leaves tensors alone that a task of training names.
 * - reinitialise: it makes some tensors of a model anew and takes the others over.
 */
export const TRAINER_FEATURES = ['fedprox', 'scaffold', 'fednova', 'frozen', 'reinitialise'] as const;
export type TrainerFeature = (typeof TRAINER_FEATURES)[number];

/** How a trainer ends: done; bad input (never retried); try again; everything else failed and is retried once. */
export const TRAINER_EXIT = { done: 0, badInput: 64, tryAgain: 75 } as const;
