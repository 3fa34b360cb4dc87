import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { exists } from '../../base/exists';
import { readdir, rm, stat } from '../../base/files';
import { openDecathlon } from '../../imaging/decathlon';
import { requireSpace } from './fetch-file';
import { type Helpers, localFile, nameOf, type Source } from './local-file';
import { type Division, type PlacedDataset, placeDataset, placedDataset, placingBytes } from './place-dataset';

export interface DatasetPreparation extends Source {
  /** Folder that the dataset goes to. */
  readonly into: string;
  readonly division: Division;
}

/** A dataset from its source to where trainers read it. */
export async function prepareDataset(dataset: DatasetPreparation, helpers: Helpers): Promise<PlacedDataset> {
  const { from, division } = dataset;
  const { onStep, signal } = helpers;
  const into = path.resolve(dataset.into);
  const before = await placedDataset(into, dataset, division, helpers);
  const scratch = `${into}.prepare`;
  if (before) {
    await rm(scratch, { recursive: true, force: true });
    onStep({ step: 'place', state: 'nothing-to-do', detail: `${casesOf(before)} are in ${into} already` });
    return before;
  }
  const { file: archive, pin } = await localFile(dataset, path.join(scratch, 'archive'), 'fetch-dataset', 2, helpers);
  const found = await stat(archive).catch((error: unknown) => Promise.reject(ClaraError.from(error)));
  const isFolder = found.isDirectory();
  const unpacked = path.join(scratch, unpackedName(archive, found));
  if (!isFolder) {
    await removeOtherUnpacked(scratch, path.basename(unpacked));
    onStep({ step: 'unpack', state: 'started', detail: `unpacks ${from}` });
    await requireSpace(scratch, found.size, `unpacking ${from}`);
  }
  const opened = await openDecathlon(archive, { extractTo: unpacked, signal });
  if (!isFolder) onStep({ step: 'unpack', state: 'done', detail: `${opened.name} is unpacked` });
  onStep({ step: 'place', state: 'started', detail: `makes ${into}` });
  await requireSpace(path.dirname(into), await placingBytes(opened, division), `making ${into}`);
  const note = { source: nameOf(dataset), ...(dataset.sha256 === undefined && { pin }) };
  const placed = await placeDataset(opened, into, { note, division, signal });
  await rm(scratch, { recursive: true, force: true });
  onStep({ step: 'place', state: 'done', detail: `${casesOf(placed)} are in ${into}` });
  return placed;
}

/** Of this very archive: what another one left unpacked, whole or in part, is not gone on with, since sizes of files tell nothing. */
function unpackedName(archive: string, { size, mtimeMs }: Stats): string {
  return `${UNPACKED}-${createHash('sha256').update(`${archive}\0${size} ${mtimeMs}`).digest('hex').slice(0, 12)}`;
}

async function removeOtherUnpacked(scratch: string, mine: string): Promise<void> {
  const names = (await exists(scratch)) ? await readdir(scratch) : [];
  for (const name of names) {
    if (!name.startsWith(UNPACKED) || name.startsWith(mine)) continue;
    await rm(path.join(scratch, name), { recursive: true, force: true });
  }
}

const UNPACKED = 'unpacked';

function casesOf({ training, heldOut }: PlacedDataset): string {
  return `${training} cases to train on and ${heldOut} held out`;
}
