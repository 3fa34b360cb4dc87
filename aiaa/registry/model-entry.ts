import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { z } from 'zod';
import { MODEL_TYPES } from './model-types';

/** Names become folders and appear in URLs. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
const nameRule = 'use 1 to 128 letters, digits, "_", "-" and ".", starting with a letter or digit';

export const modelNameSchema = z.string().regex(NAME, nameRule);

/** The model object of the AIAA API: clients read all of it unguarded, and expect `version` to be a JSON string. */
const modelObjectSchema = z.object({
  name: modelNameSchema,
  type: z.enum(MODEL_TYPES),
  /** Names of the classes of the mask: `labels[n - 1]` is mask value n. */
  labels: z.array(z.string().min(1)).min(1),
  description: z.string(),
  version: z.string().regex(NAME, nameRule),
});

/** What `GET /v1/models` shows. */
export type ModelObject = z.infer<typeof modelObjectSchema>;

/** What is known of a published model, `entry.json`. */
export const modelEntrySchema = modelObjectSchema.extend({
  /** Whoever published before there was a choice had this one. */
  engine: z.enum(['reference', 'onnx']).default('reference'),
  /** The config_aiaa.json that the model came with, if any. */
  config: z.record(z.string(), z.unknown()).optional(),
  /** More that clients are shown: `inference.meta_data` of the configuration. */
  meta: z.record(z.string(), z.unknown()).default({}),
  /** `sha256:<hex>` of the model's file. */
  sha256: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  bytes: z.int().positive(),
  /** ISO 8601, UTC. */
  publishedAt: z.iso.datetime(),
});

export type ModelEntry = z.infer<typeof modelEntrySchema>;

export function modelObjectOf(entry: ModelObject & Partial<Pick<ModelEntry, 'meta'>>): ModelObject {
  const { name, type, labels, description, version } = entry;
  return { ...entry.meta, name, type, labels, description, version };
}

/** The version that a model's name stands for, `current.json`. */
export const currentSchema = z.object({ version: modelEntrySchema.shape.version });

/** What a model's file is called. */
const FILES: Readonly<Record<ModelEntry['engine'], string>> = { reference: 'model.safetensors', onnx: 'model.onnx' };

/** How names of folders begin that are being filled or emptied; whoever publishes next removes those that were left. */
export const UNFINISHED = '.publishing-';

/** A new name for one. */
export function unfinishedFolder(workspace: string, name: string): string {
  return path.join(
    registryPaths.model(workspace, name),
    `${UNFINISHED}${process.pid}-${randomBytes(4).toString('hex')}`,
  );
}

/** Where things lie: `<workspace>/models/<name>/<version>/{model.safetensors | model.onnx, entry.json}` and `<name>/current.json`. */
export const registryPaths = {
  root: (workspace: string) => path.join(workspace, 'models'),
  model: (workspace: string, name: string) => path.join(workspace, 'models', name),
  current: (workspace: string, name: string) => path.join(workspace, 'models', name, 'current.json'),
  version: (workspace: string, name: string, version: string) => path.join(workspace, 'models', name, version),
  file: (folder: string, engine: ModelEntry['engine']) => path.join(folder, FILES[engine]),
  entry: (folder: string) => path.join(folder, 'entry.json'),
};
