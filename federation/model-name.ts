import { z } from 'zod';

/**
 * Names and versions of registered models. A name is at once part of an object key, a folder of an annotation workspace and a
 * part of a URL; it has no dots, which keeps it apart from `models/<sha256>.safetensors`.
 */

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
export const MODEL_NAME_RULE = 'must be 1-63 characters of a-z, 0-9, "_" and "-", beginning with a letter or digit';

export const modelNameSchema = z.string().regex(NAME, MODEL_NAME_RULE);

export const MAX_MODEL_VERSION = 1_000_000;
/** Versions of a name count from 1 in the order of registration. */
export const modelVersionSchema = z.number().int().min(1).max(MAX_MODEL_VERSION);

/** What a version is for; a new one is a candidate. */
export const MODEL_STAGES = ['candidate', 'released', 'retired'] as const;
export type ModelStage = (typeof MODEL_STAGES)[number];

/** `NAME:VERSION`, as people write it. */
export function showVersion({ model, version }: { readonly model: string; readonly version: number }): string {
  return `${model}:${version}`;
}
