import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { openDecathlon } from '../../imaging/decathlon';
import { requireSpace } from './fetch-file';
import { type Helpers, localFile, type Source } from './local-file';
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
  const source = dataset.sha256 ? `${from} ${dataset.sha256}` : from;
  const before = await placedDataset(into, source, division);
  const scratch = `${into}.prepare`;
  if (before) {
    await rm(scratch, { recursive: true, force: true });
    onStep({ step: 'place', state: 'nothing-to-do', detail: `${casesOf(before)} are in ${into} already` });
    return before;
  }
  const unpacked = path.join(scratch, 'unpacked');
  const { file: archive } = await localFile(dataset, path.join(scratch, 'archive'), 'fetch-dataset', 2, helpers);
  const isFolder = (
    await stat(archive).catch((error: unknown) => Promise.reject(ClaraError.from(error)))
  ).isDirectory();
  if (!isFolder) {
    onStep({ step: 'unpack', state: 'started', detail: `unpacks ${from}` });
    await requireSpace(scratch, (await stat(archive)).size, `unpacking ${from}`);
  }
  const opened = await openDecathlon(archive, { extractTo: unpacked, signal });
  if (!isFolder) onStep({ step: 'unpack', state: 'done', detail: `${opened.name} is unpacked` });
  onStep({ step: 'place', state: 'started', detail: `makes ${into}` });
  await requireSpace(path.dirname(into), await placingBytes(opened, division), `making ${into}`);
  const placed = await placeDataset(opened, into, { source, division, signal });
  await rm(scratch, { recursive: true, force: true });
  onStep({ step: 'place', state: 'done', detail: `${casesOf(placed)} are in ${into}` });
  return placed;
}

function casesOf({ training, heldOut }: PlacedDataset): string {
  return `${training} cases to train on and ${heldOut} held out`;
}
