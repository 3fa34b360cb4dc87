import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { z } from 'zod';
import { syncFolder, writeFileDurably } from '../../base/durable-file';
import { ClaraError, type ErrorCode } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import { digestOfFile } from '../../federation/tensors/file';
import { compileConfig, parseAiaaConfig } from '../config/aiaa-config';
import { engines } from '../inference/engines';
import type { ModelDescription } from '../inference/inference-engine';
import type { ModelSource } from '../inference/model-source';
import { type InspectModel, inspectWith } from '../inference/probe';
import { BUILT_IN_MODELS } from './built-in-models';
import {
  type ModelEntry,
  modelEntrySchema,
  modelObjectOf,
  registryPaths,
  UNFINISHED,
  unfinishedFolder,
} from './model-entry';
import { readVersion, storedSource } from './model-registry';

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
  /** A config_aiaa.json, parsed as JSON: says what is not said here, and what surrounds the network. */
  readonly config?: unknown;
  /** What the file is for. @default 'reference' */
  readonly engine?: ModelEntry['engine'];
  /** `sha256:<hex>` that the file must have; anything else is refused. */
  readonly sha256?: string;
}

export interface PublishOptions {
  /** Loads the model and segments with it. @default by the server's engines, in this process */
  readonly inspect?: InspectModel;
  /**
   * When the version is there with other content: refuse, or add to the version what tells the two apart.
   * @default 'refuse'
   */
  readonly whenTaken?: 'refuse' | 'rename';
  readonly signal?: AbortSignal;
}

export interface PublishedModel {
  readonly entry: ModelEntry;
  /** Absolute path of the file in the registry. */
  readonly file: string;
  /** False when this very version had been published before. */
  readonly isNew: boolean;
}

/** Enough to tell the versions of one model apart; the entry has all of it. */
const SHORT_DIGEST = 12;

/** What can be said of a model before it is copied. */
const describedSchema = modelEntrySchema
  .omit({ sha256: true, bytes: true, publishedAt: true, config: true, meta: true })
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
  const { file: source, sha256: expected, config: document, ...given } = model;
  const configured = document === undefined ? undefined : understood(document, given.engine ?? 'reference');
  const known = checked(describedSchema.partial({ version: true, labels: true, description: true }), {
    ...configured?.says,
    ...given,
  });
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
  const unfinished = unfinishedFolder(workspace, name);
  await mkdir(unfinished);
  try {
    const copy = registryPaths.file(unfinished, engine);
    await copyDurably(source, copy, registryPaths.root(workspace));
    const sha256 = await digestOfFile(copy, { signal: options.signal });
    if (expected !== undefined && expected !== sha256) {
      throw new ClaraError(
        'corrupt',
        `${source} has digest ${sha256}, not the promised ${expected}; fetch the model again.`,
      );
    }
    const config = configured?.config;
    const wanted = checked(modelEntrySchema, {
      version: `sha256-${sha256.slice('sha256:'.length).slice(0, SHORT_DIGEST)}`,
      description: '',
      ...(await mustSegment(storedSource({ engine, file: copy, sha256, config }), source, options)),
      ...known,
      ...(config && { config, meta: configured.meta }),
      sha256,
      bytes: (await stat(copy)).size,
      publishedAt: new Date().toISOString(),
    });
    const entry = options.whenTaken === 'rename' ? await withFreeVersion(workspace, wanted) : wanted;
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

interface Understood {
  readonly config: Record<string, unknown>;
  readonly meta: ModelEntry['meta'];
  /** What the configuration says of the model, as a publisher would say it. */
  readonly says: Pick<ModelToPublish, 'version' | 'type' | 'labels' | 'description'>;
}

function understood(document: unknown, engine: ModelEntry['engine']): Understood {
  const parsed = parseAiaaConfig(document);
  compileConfig(parsed, engine === 'onnx' ? 'scores' : 'mask');
  const { version, type, labels, description } = parsed;
  const says = { version, type, description, ...(labels.length > 0 && { labels }) };
  return { config: document as Record<string, unknown>, meta: parsed.inference.meta_data, says };
}

/** What {@link withFreeVersion} adds; it replaces what it added before. */
const ADDED = /-[0-9a-f]{12}$/;

/** The version, or when that one is there with other content, the version and what tells the content apart. */
async function withFreeVersion(workspace: string, entry: ModelEntry): Promise<ModelEntry> {
  const found = await readVersion(workspace, entry.name, entry.version);
  if (found === undefined || isSameContent(found.entry, entry)) return entry;
  const { sha256, config, type, labels, description } = entry;
  const content = JSON.stringify([sha256, config, type, labels, description]);
  const short = createHash('sha256').update(content).digest('hex').slice(0, SHORT_DIGEST);
  return { ...entry, version: `${entry.version.replace(ADDED, '').slice(0, 100)}-${short}` };
}

function isSameContent(a: ModelEntry, b: ModelEntry): boolean {
  const contentOf = ({ sha256, engine, config, ...entry }: ModelEntry) => [
    sha256,
    engine,
    config,
    { ...modelObjectOf(entry), version: '' },
  ];
  return isDeepStrictEqual(contentOf(a), contentOf(b));
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
  if (!isSameContent(found.entry, entry)) {
    throw new ClaraError(
      'already-exists',
      `Version ${entry.version} of model ${entry.name} is published with other content; publish this one under a new version.`,
    );
  }
  return { ...found, isNew: false };
}

/** Failures that say nothing about the model that was being tried. */
const ABOUT_THE_SERVER: readonly ErrorCode[] = ['cancelled', 'resource-exhausted', 'unavailable', 'out-of-space'];

/** Loads the model and segments a tiny volume with it. @returns what the file says of itself */
async function mustSegment(model: ModelSource, source: string, options: PublishOptions): Promise<ModelDescription> {
  try {
    return await (options.inspect ?? inspectWith(engines))(model, options.signal);
  } catch (thrown) {
    const cause = ClaraError.from(thrown);
    if (ABOUT_THE_SERVER.includes(cause.code)) throw cause;
    const why = 'file' in model ? cause.message.replaceAll(model.file, 'the file') : cause.message;
    throw new ClaraError('corrupt', `${source} is not a working model and was not published: ${why}`, { cause });
  }
}

/** Files of the registry never change, so that they may be shared. */
async function copyDurably(source: string, target: string, registry: string): Promise<void> {
  try {
    if (isInside(registry, source) && (await canLink(source, target))) return;
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

function isInside(folder: string, file: string): boolean {
  return path.resolve(file).startsWith(path.resolve(folder) + path.sep);
}

/** Not every file system has hard links. */
function canLink(source: string, target: string): Promise<boolean> {
  return link(source, target).then(
    () => true,
    () => false,
  );
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
