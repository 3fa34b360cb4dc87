import { z } from 'zod';

/** What computes a model's masks. Also the field `engine` of a model's entry on disk. */
export const ENGINE_KINDS = ['reference', 'onnx', 'interactive'] as const;

export type EngineKind = (typeof ENGINE_KINDS)[number];

/** A config_aiaa.json, which the engine reads. */
const configSchema = z.record(z.string(), z.unknown());

const stored = {
  /** Absolute path of the model's file. */
  file: z.string(),
  /** `sha256:<hex>` that the file has to have. */
  sha256: z.string(),
};

/** All that an engine needs in order to load a model; travels to the inference process with each job. */
export const modelSourceSchema = z.discriminatedUnion('engine', [
  z.object({ engine: z.literal('reference'), ...stored, config: configSchema.optional() }),
  z.object({ engine: z.literal('onnx'), ...stored, config: configSchema }),
  /** Made by code alone. */
  z.object({ engine: z.literal('interactive'), name: z.string() }),
]);

export type ModelSource = z.infer<typeof modelSourceSchema>;

export type SourceOf<Kind extends EngineKind> = Extract<ModelSource, { engine: Kind }>;
