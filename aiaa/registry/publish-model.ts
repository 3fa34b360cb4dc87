import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { z } from 'zod';
import { syncFolder, writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import { digestOfFile } from '../../federation/tensors/file';
import { engines } from '../inference/engines';
import type { ModelDescription } from '../inference/inference-engine';
import type { SourceOf } from '../inference/model-source';
import { type InspectModel, inspectWith } from '../inference/probe';
import { BUILT_IN_MODELS } from './built-in-models';
import { type ModelEntry, modelEntrySchema, modelObjectOf, registryPaths } from './model-entry';
import { readVersion } from './model-registry';

export interface ModelToPublish {
  /** The model's file; it is copied. */
  readonly file: string;
  /** For example `clara_ct_seg_spleen`. */
  readonly name: string;
  /** For example `3` or `run-7.round-5`. @default taken from the content: `sha256-` and the first 12 digits of the digest */
  readonly version?: string;
  /** Names of mask values 1, 2, ... @default what the model file says */
  readonly labels?: readonly string[];
  /** @default what the model file says, or nothing */
  readonly description?: string;
  /** @default 'segmentation' */
  readonly type?: ModelEntry['type'];
  /** What the file is for. @default 'reference' */
  readonly engine?: ModelEntry['engine'];
  /** `sha256:<hex>` that the file must have; anything else is refused. */
  readonly sha256?: string;
}

export interface PublishOptions {
  /** Loads the model and segments with it. @default by the server's engines, in this process */
  readonly inspect?: InspectModel;
  readonly signal?: AbortSignal;
}

export interface PublishedModel {
  readonly entry: ModelEntry;
  /** Absolute path of the file in the registry. */
  readonly file: string;
  /** False when this very version had been published before. */
  readonly isNew: boolean;
}

type StoredSource = SourceOf<ModelEntry['engine']>;

const UNFINISHED = '.publishing-';
/** Enough to tell the versions of one model apart; the entry has all of it. */
const SHORT_DIGEST = 12;

/** What can be said of a model before it is copied. */
const describedSchema = modelEntrySchema
  .omit({ sha256: true, bytes: true, publishedAt: true })
  .extend({ type: modelEntrySchema.shape.type.default('segmentation') });

/**
 * Publishes a model into a workspace's registry and makes it the current version of its name. Durable and atomic: a reader
 * sees the old version or the new one, also after a crash. Publishing the same again changes nothing; the same version with
 * other content is refused, since a version names one content for ever.
 *
 * @throws ClaraError `invalid-input` with every fault of the description; `not-found`; `corrupt` when the digest differs or
 *   the model does not load and segment; `already-exists`
 */
export async function publishModel(
  workspace: string,
  model: ModelToPublish,
  options: PublishOptions = {},
): Promise<PublishedModel> {
  const { file: source, sha256: expected, ...given } = model;
  const known = checked(describedSchema.partial({ version: true, labels: true, description: true }), given);
  const { name, engine } = known;
  if (BUILT_IN_MODELS.some((entry) => entry.name === name)) {
    throw new ClaraError(
      'already-exists',
      `${name} is a model that every server has; publish yours under another name.`,
    );
  }

  const home = registryPaths.model(workspace, name);
  await mkdir(home, { recursive: true });
  await removeUnfinished(home);
  const unfinished = path.join(home, `${UNFINISHED}${process.pid}-${randomBytes(4).toString('hex')}`);
  await mkdir(unfinished);
  try {
    const copy = registryPaths.file(unfinished, engine);
    await copyDurably(source, copy);
    const sha256 = await digestOfFile(copy, { signal: options.signal });
    if (expected !== undefined && expected !== sha256) {
      throw new ClaraError(
        'corrupt',
        `${source} has digest ${sha256}, not the promised ${expected}; fetch the model again.`,
      );
    }
    const entry = checked(modelEntrySchema, {
      version: `sha256-${sha256.slice('sha256:'.length).slice(0, SHORT_DIGEST)}`,
      description: '',
      ...(await mustSegment({ engine, file: copy, sha256 }, source, options)),
      ...known,
      sha256,
      bytes: (await stat(copy)).size,
      publishedAt: new Date().toISOString(),
    });
    const { version } = entry;
    const before = await earlier(workspace, entry);
    if (before === undefined) {
      await writeFileDurably(registryPaths.entry(unfinished), `${JSON.stringify(entry, null, 2)}\n`);
    }
    const published = before ?? (await settle(workspace, unfinished, entry));
    await writeFileDurably(registryPaths.current(workspace, name), `${JSON.stringify({ version })}\n`);
    await syncFolder(registryPaths.root(workspace));
    return published;
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

function checked<T extends z.ZodType>(schema: T, value: unknown): z.infer<T> {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw ClaraError.ofFaults('The model to publish', faultsOf(parsed.error, value));
  return parsed.data;
}

/** Gives the finished folder its name. Whoever comes second finds the name taken and must bring the same content. */
async function settle(workspace: string, unfinished: string, entry: ModelEntry): Promise<PublishedModel> {
  const folder = registryPaths.version(workspace, entry.name, entry.version);
  try {
    await rename(unfinished, folder);
  } catch (error) {
    const other = await earlier(workspace, entry);
    if (other !== undefined) return other;
    throw ClaraError.from(error, `publishing ${entry.name} ${entry.version}`);
  }
  await syncFolder(path.dirname(folder));
  return { entry, file: registryPaths.file(path.resolve(folder), entry.engine), isNew: true };
}

/** The same version when it is there already, with the same content. */
async function earlier(workspace: string, entry: ModelEntry): Promise<PublishedModel | undefined> {
  const found = await readVersion(workspace, entry.name, entry.version);
  if (found === undefined) return undefined;
  const same =
    found.entry.sha256 === entry.sha256 && isDeepStrictEqual(modelObjectOf(found.entry), modelObjectOf(entry));
  if (!same) {
    throw new ClaraError(
      'already-exists',
      `Version ${entry.version} of model ${entry.name} is published with other content; publish this one under a new version.`,
    );
  }
  return { ...found, isNew: false };
}

/** Loads the model and segments a tiny volume with it. @returns what the file says of itself */
async function mustSegment(model: StoredSource, source: string, options: PublishOptions): Promise<ModelDescription> {
  try {
    return await (options.inspect ?? inspectWith(engines))(model, options.signal);
  } catch (thrown) {
    const cause = ClaraError.from(thrown);
    if (cause.code === 'cancelled') throw cause;
    const why = cause.message.replaceAll(model.file, 'the file');
    throw new ClaraError('corrupt', `${source} is not a working model and was not published: ${why}`, { cause });
  }
}

async function copyDurably(source: string, target: string): Promise<void> {
  try {
    await copyFile(source, target, constants.COPYFILE_FICLONE);
    const handle = await open(target, 'r+');
    try {
      await handle.chmod(0o644);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw ClaraError.from(error, 'copying the model to publish');
  }
}

const UNFINISHED_KEPT_MS = 3_600_000;

/** What killed publishers left, once it is too old to be somebody's work in progress. */
async function removeUnfinished(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    if (!name.startsWith(UNFINISHED)) continue;
    const folder = path.join(home, name);
    const seen = await stat(folder).catch(() => undefined);
    if (seen !== undefined && Date.now() - seen.mtimeMs > UNFINISHED_KEPT_MS)
      await rm(folder, { recursive: true, force: true });
  }
}
