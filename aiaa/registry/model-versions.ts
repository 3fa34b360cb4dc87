import { rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder, writeFileDurably } from '../../base/durable-file';
import { ClaraError, showValue } from '../../base/errors';
import { foldersIn } from '../../base/folder-listing';
import { hasSystemCode } from '../../base/system-codes';
import { type ModelEntry, modelEntrySchema, registryPaths, unfinishedFolder } from './model-entry';
import { mustBeModelName, readCurrent, readVersion, type StoredModel } from './model-registry';

/** All that the registry has of one name. */
export interface ModelVersions {
  /** Undefined when the model is unloaded. */
  readonly current: string | undefined;
  /** Newest first. */
  readonly versions: readonly ModelEntry[];
}

/** @throws ClaraError `not-found` when nothing was ever published under this name; `corrupt` */
export async function versionsOf(workspace: string, name: string): Promise<ModelVersions> {
  mustBeModelName(name);
  const found: ModelEntry[] = [];
  for (const version of await foldersOf(registryPaths.model(workspace, name))) {
    const opened = await readVersion(workspace, name, version);
    if (opened !== undefined) found.push(opened.entry);
  }
  if (found.length === 0) throw new ClaraError('not-found', `No model ${showValue(name)} was published here.`);
  found.sort((a, b) => (a.publishedAt < b.publishedAt ? 1 : -1));
  return { current: await readCurrent(workspace, name), versions: found };
}

/**
 * Makes a published version the one that the name stands for, also of a model that was unloaded. Doing it again changes nothing.
 *
 * @throws ClaraError `not-found`; `corrupt` when the version's file is gone
 */
export async function serveVersion(workspace: string, name: string, version: string): Promise<StoredModel> {
  const opened = await mustHave(workspace, name, version);
  const seen = await stat(opened.file).catch(() => undefined);
  if (seen?.size !== opened.entry.bytes) {
    throw new ClaraError('corrupt', `Model ${name}: the file of version ${version} is not there as it was published.`);
  }
  await writeFileDurably(registryPaths.current(workspace, name), `${JSON.stringify({ version })}\n`);
  return opened;
}

/** Serves the model no more. Its versions stay, so that it can be served again. @throws ClaraError `not-found` */
export async function unloadModel(workspace: string, name: string): Promise<void> {
  mustBeModelName(name);
  const current = registryPaths.current(workspace, name);
  try {
    await rm(current);
  } catch (error) {
    if (!hasSystemCode(error, 'ENOENT')) throw ClaraError.from(error, `unloading ${name}`);
    throw new ClaraError('not-found', `There is no model ${showValue(name)} that is served.`);
  }
  await syncFolder(path.dirname(current));
}

/** Deletes a version that is not served. @throws ClaraError `not-found`; `precondition-failed` */
export async function removeVersion(workspace: string, name: string, version: string): Promise<void> {
  await mustHave(workspace, name, version);
  if ((await readCurrent(workspace, name)) === version) {
    throw new ClaraError(
      'precondition-failed',
      `Version ${version} of model ${name} is the one that is served; serve another version first, or unload the model.`,
    );
  }
  const folder = registryPaths.version(workspace, name, version);
  const leaving = unfinishedFolder(workspace, name); // a name that is no version's: a reader finds all of it or nothing
  await rename(folder, leaving);
  await syncFolder(path.dirname(folder));
  await rm(leaving, { recursive: true, force: true });
}

async function mustHave(workspace: string, name: string, version: string): Promise<StoredModel> {
  mustBeModelName(name);
  const valid = modelEntrySchema.shape.version.safeParse(version).success;
  const opened = valid ? await readVersion(workspace, name, version) : undefined;
  if (opened !== undefined) return opened;
  throw new ClaraError('not-found', `Model ${showValue(name)} has no version ${showValue(version)} here.`);
}

async function foldersOf(home: string): Promise<string[]> {
  const found = await foldersIn(home, 'listing versions');
  return found.filter((name) => modelEntrySchema.shape.version.safeParse(name).success);
}
