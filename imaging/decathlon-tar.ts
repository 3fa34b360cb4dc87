import { readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder } from '../base/durable-file';
import { ClaraError } from '../base/errors';
import { exists } from '../base/exists';
import { type ExtractOptions, unpackTar } from '../base/tar-archive';
import { LIST_FILE, openDecathlonFolder } from './decathlon-folder';

/**
 * Unpacks a Decathlon archive (`.tar`, or gzipped) so that `folder` holds its `dataset.json`, whether the archive has a top
 * folder such as `Task09_Spleen/` or not. Files arrive in `folder + ".partial"`, which is renamed when all are there: `folder`
 * is complete or absent, and after an interruption files that were finished are not written again. An existing `folder` is
 * left as it is.
 *
 * @throws ClaraError corrupt for a damaged archive or one with links, devices or names that climb out; resource-exhausted;
 *   invalid-input when there is no dataset.json; not-found
 */
export async function extractDecathlon(tar: string, folder: string, options: ExtractOptions = {}): Promise<void> {
  const target = path.resolve(folder);
  if (await exists(target)) return;
  const partial = `${target}.partial`;
  await unpackTar(tar, partial, options);
  const root = await datasetRootIn(partial, tar);
  // An archive cut between two members looks whole to a parser: only the list knows what should be there.
  await openDecathlonFolder(root);
  await rename(root, target);
  await rm(partial, { recursive: true, force: true });
  await syncFolder(path.dirname(target));
}

async function datasetRootIn(partial: string, tar: string): Promise<string> {
  const names = await readdir(partial);
  const candidates = [partial, ...names.map((name) => path.join(partial, name))];
  for (const candidate of candidates) {
    if (await exists(path.join(candidate, LIST_FILE))) return candidate;
  }
  throw new ClaraError(
    'invalid-input',
    `${tar} is no Decathlon archive: it must hold dataset.json, at most one folder deep`,
  );
}
