import { z } from 'zod';
import { ClaraError, type Fault, showValue } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import type { InitialiseTask, TrainerTask } from '../../federation/trainer-contract';
import { architectureFaults, assertArchitecture } from '../engine/architecture';
import { ENGINE_ID, type ModelCard, modelCardSchema } from '../engine/model-card';

const fields = modelCardSchema.shape;
const LIMITS = { steps: 100_000, batch: 64, rate: 1 } as const;

/**
 * What a plan may say to this trainer. Defaults are the recipe of the demonstration: a whole abdomen at 8 to 10 mm fits in
 * one patch, so a step is cheap and sees all of the anatomy.
 */
const parametersSchema = z.strictObject({
  // What the model is: used when it is made; later tasks take it from the model's card and refuse anything else.
  /** @default 'spleen_unet3d' */
  name: fields.name.optional(),
  description: fields.description.optional(),
  /** Which value of the label files is the organ, and what it is called. @default { value: 1, name: 'spleen' } */
  label: z.strictObject({ value: z.int().min(1).max(65535), name: z.string().min(1).max(100) }).optional(),
  /** Of each stage, finest first. @default [8, 16, 32, 64] */
  channels: fields.channels.optional(),
  /** Voxels along i, j, k. @default [40, 40, 24] */
  patch: fields.patch.optional(),
  /** Millimetres to the right, front and head. @default [8, 8, 10] */
  spacing: fields.spacing.optional(),
  /** Hounsfield units. @default { low: -160, high: 240 } */
  window: fields.window.optional(),

  // How it learns.
  stepsPerRound: z.int().min(1).max(LIMITS.steps).default(20),
  /** Patches in one step. */
  batch: z.int().min(1).max(LIMITS.batch).default(1),
  /** `sgd`: plain gradient steps, for which the strategies' papers make their claims; its rate is another than Adam's. */
  optimiser: z.enum(['adam', 'sgd']).default('adam'),
  /** Highest rate of the schedule. */
  learningRate: z.number().positive().max(LIMITS.rate).default(0.015),
  warmUpSteps: z.int().min(0).max(LIMITS.steps).default(12),
  /** Share of the patches that are made to contain the organ. */
  foregroundShare: z.number().min(0).max(1).default(0.7),
  /** Steps between two checkpoints. */
  checkpointSteps: z.int().min(1).max(LIMITS.steps).default(50),

  // How it is measured.
  /** Share of a patch that neighbouring patches have in common. */
  overlap: z.number().min(0).max(0.9).default(0.25),
});

export type TrainerParameters = z.infer<typeof parametersSchema>;

const DEFAULT_MODEL = {
  name: 'spleen_unet3d',
  description: 'Spleen on abdominal CT, a small 3D U-Net trained by federated learning',
  label: { value: 1, name: 'spleen' },
  channels: [8, 16, 32, 64],
  patch: [40, 40, 24],
  spacing: [8, 8, 10],
  window: { low: -160, high: 240 },
} as const;

const architectureSchema = modelCardSchema.pick({ channels: true, patch: true });

/** @throws ClaraError invalid-input that lists every fault, those of the architecture included */
export function parseParameters(task: Pick<TrainerTask, 'kind' | 'parameters'>): TrainerParameters {
  const { kind, parameters } = task;
  const parsed = parametersSchema.safeParse(parameters);
  const faults: Fault[] = parsed.success ? [] : faultsOf(parsed.error, parameters);
  // What takes tensors over from a model takes the rest of its card over too.
  const fromNothing = kind === 'initialise' && (task as Partial<InitialiseTask>).reinitialise === undefined;
  const implied = fromNothing ? DEFAULT_MODEL : {};
  const architecture = architectureSchema.safeParse({ ...implied, ...parameters });
  if (architecture.success) faults.push(...architectureFaults(architecture.data));
  if (faults.length > 0) throw ClaraError.ofFaults('trainer parameters', faults);
  return parsed.data!;
}

/** Which value of the label files is the organ. */
export function labelValueOf({ label = DEFAULT_MODEL.label }: TrainerParameters): number {
  return label.value;
}

/** The card of a new model. */
export function newModelCard(parameters: TrainerParameters): ModelCard {
  const { label = DEFAULT_MODEL.label } = parameters;
  return modelCardSchema.parse({
    engine: ENGINE_ID,
    name: parameters.name ?? DEFAULT_MODEL.name,
    description: parameters.description ?? DEFAULT_MODEL.description,
    labels: [label.name],
    channels: parameters.channels ?? DEFAULT_MODEL.channels,
    patch: parameters.patch ?? DEFAULT_MODEL.patch,
    spacing: parameters.spacing ?? DEFAULT_MODEL.spacing,
    window: parameters.window ?? DEFAULT_MODEL.window,
  });
}

/**
 * The card of a model that takes tensors over from another one: that one's, where the plan says nothing else.
 *
 * @throws ClaraError invalid-input that lists every fault of the architecture
 */
export function transferredModelCard(parameters: TrainerParameters, from: ModelCard): ModelCard {
  const { name, description, label, channels, patch, spacing, window } = parameters;
  const stated = { name, description, labels: label && [label.name], channels, patch, spacing, window };
  const said = Object.fromEntries(Object.entries(stated).filter(([, value]) => value !== undefined));
  const card = modelCardSchema.parse({ ...from, ...said });
  assertArchitecture(card);
  return card;
}

/**
 * A plan that starts from an existing model may repeat what the model is, but not contradict it.
 *
 * @throws ClaraError invalid-input that lists every contradiction
 */
export function assertParametersFit(parameters: TrainerParameters, card: ModelCard): void {
  const stated = { ...parameters, labels: parameters.label === undefined ? undefined : [parameters.label.name] };
  const faults: Fault[] = [];
  for (const field of ['labels', 'channels', 'patch', 'spacing', 'window'] as const) {
    const [wanted, found] = [stated[field], card[field]].map((value) => JSON.stringify(value));
    if (wanted === undefined || wanted === found) continue;
    const rule = `contradicts the model, which has ${showValue(card[field])}; leave it out`;
    faults.push({ path: field === 'labels' ? 'label' : field, value: wanted, rule });
  }
  if (faults.length > 0) throw ClaraError.ofFaults('trainer parameters', faults);
}
