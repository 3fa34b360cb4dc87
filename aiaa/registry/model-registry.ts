import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { z } from 'zod';
import { ClaraError, hasCode, showValue } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import { foldersIn } from '../../base/folder-listing';
import { hasSystemCode } from '../../base/system-codes';
import type { ModelSource } from '../inference/model-source';
import { BUILT_IN_MODELS, type BuiltInEntry } from './built-in-models';
import { currentSchema, type ModelEntry, modelEntrySchema, modelNameSchema, registryPaths } from './model-entry';

/** A published model ready to be loaded. */
export interface StoredModel {
  readonly entry: ModelEntry;
  /** Absolute path of the model's file. */
  readonly file: string;
}

/** Any model ready to be loaded. */
export type OpenedModel = StoredModel | { readonly entry: BuiltInEntry };

interface StoredParts extends Pick<ModelEntry, 'engine' | 'sha256' | 'config'> {
  readonly file: string;
}

/** @throws ClaraError `invalid-input` for an ONNX model without a configuration */
export function storedSource({ engine, file, sha256, config }: StoredParts): ModelSource {
  if (engine === 'reference') return { engine, file, sha256, ...(config && { config }) };
  if (config !== undefined) return { engine, file, sha256, config };
  throw new ClaraError(
    'invalid-input',
    'An ONNX model needs its config_aiaa.json, which says what surrounds the network; give both.',
  );
}

/** What the inference process needs in order to load it. */
export function sourceOf(model: OpenedModel): ModelSource {
  if (!('file' in model)) return { engine: model.entry.engine, name: model.entry.name };
  const { engine, sha256, config } = model.entry;
  return storedSource({ engine, file: model.file, sha256, config });
}

export interface ListOptions {
  /** Told about each entry that cannot be read; without it, the first one fails the listing. */
  readonly onBroken?: (name: string, error: ClaraError) => void;
}

/**
 * The current version of every model in a workspace, by name, and those that every server has. Read from disk each time: a model that was published a moment
 * ago, by this process or another, is there.
 *
 * @throws ClaraError `corrupt` for an unreadable entry, unless `onBroken` is given
 */
export async function listModels(
  workspace: string,
  options: ListOptions = {},
): Promise<readonly OpenedModel['entry'][]> {
  const entries: OpenedModel['entry'][] = [...BUILT_IN_MODELS];
  for (const name of await namesOfModels(workspace)) {
    try {
      entries.push((await openPublished(workspace, name)).entry);
    } catch (error) {
      if (hasCode(error, 'not-found')) continue; // being published for the first time
      if (options.onBroken === undefined) throw error;
      options.onBroken(name, ClaraError.from(error));
    }
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * One model: the current version of a published one, or one that every server has.
 *
 * @throws ClaraError `not-found`; `corrupt` when its files in the registry are damaged
 */
export async function openModel(workspace: string, name: string): Promise<OpenedModel> {
  const entry = BUILT_IN_MODELS.find((builtIn) => builtIn.name === name);
  return entry === undefined ? openPublished(workspace, name) : { entry };
}

/**
 * The current version of one published model.
 *
 * @throws ClaraError `not-found`; `corrupt` when its files in the registry are damaged
 */
export async function openPublished(workspace: string, name: string): Promise<StoredModel> {
  mustBeModelName(name);
  const current = await readCurrent(workspace, name);
  if (current === undefined) throw unknown(name);
  const opened = await readVersion(workspace, name, current);
  if (opened === undefined) {
    throw new ClaraError('corrupt', `Model ${name}: its current version ${current} is missing; publish it again.`);
  }
  return opened;
}

/** @throws ClaraError `not-found`: no model can have another name */
export function mustBeModelName(name: string): void {
  if (!modelNameSchema.safeParse(name).success) throw unknown(name);
}

function unknown(name: string): ClaraError {
  return new ClaraError(
    'not-found',
    `There is no model ${showValue(name)}; GET /v1/models lists those that there are.`,
  );
}

/** The version that is served, or undefined when none is. @throws ClaraError `corrupt` */
export async function readCurrent(workspace: string, name: string): Promise<string | undefined> {
  return (await readJson(registryPaths.current(workspace, name), currentSchema, name))?.version;
}

/** One published version, or undefined when there is none such. @throws ClaraError `corrupt` */
export async function readVersion(workspace: string, name: string, version: string): Promise<StoredModel | undefined> {
  const folder = registryPaths.version(workspace, name, version);
  const entry = await readJson(registryPaths.entry(folder), modelEntrySchema, name);
  if (entry === undefined) return undefined;
  if (entry.name !== name || entry.version !== version) {
    throw new ClaraError(
      'corrupt',
      `Model ${name}: the entry of version ${version} says ${entry.name} ${entry.version}; publish it again.`,
    );
  }
  return { entry, file: registryPaths.file(path.resolve(folder), entry.engine) };
}

/** Names under which anything was published, in order. */
export async function namesOfModels(workspace: string): Promise<readonly string[]> {
  const found = await foldersIn(registryPaths.root(workspace), 'listing models');
  return found.filter((name) => modelNameSchema.safeParse(name).success).sort();
}

async function readJson<T extends z.ZodType>(file: string, schema: T, model: string): Promise<z.infer<T> | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT')) return undefined;
    throw ClaraError.from(error, `model ${model}`);
  }
  const what = `Model ${model}: ${path.basename(file)}`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ClaraError('corrupt', `${what} is not JSON; publish the model again.`, { cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ClaraError('corrupt', `${what} is damaged; publish the model again.`, {
    faults: faultsOf(parsed.error, value),
  });
}
