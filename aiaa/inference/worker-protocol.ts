import { z } from 'zod';
import { type ClaraError, ERROR_CODES, hasCode } from '../../base/errors';
import { fileJobSchemas } from './file-jobs';
import { interactionSchema } from './interaction';
import { modelSourceSchema } from './model-source';

/** Messages between the server and its inference process, over Node's IPC channel. Volumes and masks travel as files. */

/** Number types that a mask can be written in; clients ask for one with `result_dtype`. */
export const MASK_DTYPES = ['uint8', 'int8', 'int16', 'uint16', 'int32', 'uint32', 'float32', 'float64'] as const;

export type MaskDtype = (typeof MASK_DTYPES)[number];

const segmentSchema = z.object({
  kind: z.literal('segment'),
  model: modelSourceSchema,
  /** Volume to read. */
  input: z.string(),
  /** File to write: `.nii`, `.nii.gz`, `.nrrd`, or `.dcm` for a DICOM segmentation. */
  output: z.string(),
  dtype: z.enum(MASK_DTYPES),
  /** Whether a `.nrrd` file is compressed. */
  compress: z.boolean().default(true),
  /** Whether the largest piece of each label alone stays. */
  largestOnly: z.boolean().default(false),
  /** What a DICOM segmentation says of the model. */
  about: z.object({ name: z.string(), version: z.string(), labels: z.array(z.string()).readonly() }),
  maxVolumeBytes: z.number(),
  interaction: interactionSchema.optional(),
});

/** A tiny inference on a made-up volume. */
const probeSchema = z.object({ kind: z.literal('probe'), model: modelSourceSchema });

/** How unsure a model is of a volume. */
const assessSchema = z.object({
  kind: z.literal('assess'),
  model: modelSourceSchema,
  /** Volume to read. */
  input: z.string(),
  maxVolumeBytes: z.number(),
});

export const jobSchema = z.discriminatedUnion('kind', [segmentSchema, probeSchema, assessSchema, ...fileJobSchemas]);

export type InferenceJob = z.infer<typeof jobSchema>;

export const toWorkerSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('run'), id: z.int(), job: jobSchema }),
  z.object({ kind: z.literal('cancel'), id: z.int() }),
]);

export type ToWorker = z.infer<typeof toWorkerSchema>;

/** Where a job failed. */
export const STAGES = ['model', 'input', 'inference', 'output'] as const;

export type Stage = (typeof STAGES)[number];

/**
 * True when the process that failed so is as good as new: the volume was bad, or the job was cancelled. After anything else it
 * is replaced.
 */
export function isHarmless(stage: Stage, error: ClaraError): boolean {
  if (stage === 'input' || hasCode(error, 'cancelled')) return true;
  return stage === 'inference' && hasCode(error, 'invalid-input', 'unsupported');
}

const resultSchema = z.object({
  /** Extreme voxels (i, j, k) of the foreground: lowest and highest along i, j and k; empty for an empty mask. */
  extremePoints: z.array(z.tuple([z.int(), z.int(), z.int()])),
  /** What the model's configuration wants clients to be told. */
  told: z.record(z.string(), z.unknown()).default({}),
  /** What a probed model says of itself. */
  description: z
    .object({ labels: z.array(z.string()).readonly().optional(), description: z.string().optional() })
    .optional(),
  /** Of each label that occurs: its value and the mean (i, j, k) of its voxels. */
  centroids: z.array(z.tuple([z.int(), z.int(), z.int(), z.int()])),
  /** Of an assessed volume, 0..1. */
  uncertainty: z.number().optional(),
});

export type InferenceResult = z.infer<typeof resultSchema>;

export const fromWorkerSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready') }),
  z.object({ kind: z.literal('progress'), id: z.int(), fraction: z.number() }),
  z.object({ kind: z.literal('done'), id: z.int(), result: resultSchema }),
  /** What the last job needed has been let go of; the process takes the next one. */
  z.object({ kind: z.literal('idle'), residentBytes: z.number() }),
  z.object({
    kind: z.literal('failed'),
    id: z.int(),
    stage: z.enum(STAGES),
    code: z.enum(ERROR_CODES),
    message: z.string(),
  }),
]);

export type FromWorker = z.infer<typeof fromWorkerSchema>;
