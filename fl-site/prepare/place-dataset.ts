import { createReadStream } from 'node:fs';
import path from 'node:path';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import { syncFolder, writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { exists } from '../../base/exists';
import { readFile, rename, rm, stat } from '../../base/files';
import { systemCode } from '../../base/system-codes';
import {
  type DecathlonDataset,
  type DecathlonList,
  divideCases,
  filesOf,
  openDecathlon,
  writeDecathlon,
  writeSiteDataset,
} from '../../imaging/decathlon';
import { type Helpers, isOf, nameOf, type Prepared, type Source } from './local-file';

/** How a source becomes the dataset of a site. */
export interface Division {
  /** Cases that are not trained on, drawn by `seed`. @default as the source's own list says */
  readonly heldOut?: number | undefined;
  readonly seed: number;
  /** Volumes are stored unpacked, which trainers read faster, at three to four times the room. */
  readonly gunzip: boolean;
}

export interface PlacedDataset {
  readonly folder: string;
  readonly training: number;
  readonly heldOut: number;
}

const NOTE = 'prepared.json';
const noteSchema = z.object({
  version: z.literal(1),
  source: z.string(),
  pin: z.string().optional(),
  division: z.object({ heldOut: z.number().optional(), seed: z.number(), gunzip: z.boolean() }),
});

/**
 * What an earlier preparation left in the folder.
 * @returns undefined when nothing is there
 * @throws ClaraError `already-exists` when something else is
 */
export async function placedDataset(
  folder: string,
  source: Source,
  division: Division,
  helpers: Helpers,
): Promise<PlacedDataset | undefined> {
  if (!(await exists(folder))) return undefined;
  const note = await readFile(path.join(folder, NOTE), 'utf8').then(
    (text) => noteSchema.parse(JSON.parse(text)),
    () => undefined,
  );
  const { heldOut, seed, gunzip } = division;
  const sameWay =
    note?.source === nameOf(source) &&
    note.division.heldOut === heldOut &&
    note.division.seed === seed &&
    note.division.gunzip === gunzip;
  if (sameWay && (await isOf(note, source, helpers))) return sizesOf(await openDecathlon(folder));
  const how = sameWay ? ', where there is another content now' : ' in another way';
  const what = note ? `was prepared from ${note.source}${how}` : 'was not made by this command';
  const mend = 'remove it, or name another folder; what trainers read is never changed in place';
  throw new ClaraError('already-exists', `${folder} ${what}: ${mend}`);
}

/**
 * Makes the dataset of a site from one that lies unpacked. The folder is whole or absent; files are shared with the source
 * where the file system can.
 */
export async function placeDataset(
  dataset: DecathlonDataset,
  folder: string,
  { note, division, signal }: { readonly note: Prepared; readonly division: Division; readonly signal: AbortSignal },
): Promise<PlacedDataset> {
  const making = `${folder}.making`;
  await rm(making, { recursive: true, force: true });
  const [share] =
    division.heldOut === undefined
      ? [{ training: dataset.training, heldOut: dataset.validation }]
      : divideCases(dataset, ['site'], division.seed, division.heldOut);
  let made = await writeSiteDataset(dataset, share!, making);
  if (division.gunzip) made = await gunzipAll(made, signal);
  const written: z.input<typeof noteSchema> = { version: 1, ...note, division: { ...division } };
  await writeFileDurably(path.join(making, NOTE), `${JSON.stringify(written, undefined, 2)}\n`);
  await rename(making, folder);
  await syncFolder(path.dirname(folder));
  return { ...sizesOf(made), folder };
}

/** Bytes that placing takes beside the unpacked source. */
export async function placingBytes(dataset: DecathlonDataset, { gunzip }: Division): Promise<number> {
  if (!gunzip) return 0;
  let bytes = 0;
  for (const file of filesOf(dataset)) bytes += (await stat(path.join(dataset.folder, file))).size;
  return bytes * GUNZIP_GROWTH;
}

/** CT volumes of the Decathlon shrink to a third by gzip; labels, which shrink more, are small. */
const GUNZIP_GROWTH = 4;
const GZIPPED = /\.gz$/;

async function gunzipAll(dataset: DecathlonDataset, signal: AbortSignal): Promise<DecathlonDataset> {
  for (const file of filesOf(dataset)) {
    if (!GZIPPED.test(file)) continue;
    const packed = path.join(dataset.folder, file);
    const raw = createReadStream(packed);
    const volume = createGunzip();
    raw.on('error', (error) => volume.destroy(error));
    try {
      await writeFileDurably(packed.replace(GZIPPED, ''), raw.pipe(volume) as AsyncIterable<Uint8Array>, { signal });
    } catch (error) {
      raw.destroy();
      if (signal.aborted) throw ClaraError.from(signal.reason);
      if (systemCode(error)?.startsWith('Z_')) {
        throw new ClaraError('corrupt', `${file} is no whole gzip file`, { cause: error });
      }
      throw ClaraError.from(error, `unpacking ${file}`);
    }
    // A link to the source's file: the source keeps it.
    await rm(packed);
  }
  const plain = (name: string) => name.replace(GZIPPED, '');
  const labelled = (cases: DecathlonList['training']) =>
    cases.map(({ id, image, label }) => ({ id, image: plain(image), label: plain(label) }));
  const { folder, ...list } = dataset;
  return writeDecathlon(folder, {
    ...list,
    training: labelled(list.training),
    validation: labelled(list.validation),
  });
}

function sizesOf({ folder, training, validation }: DecathlonDataset): PlacedDataset {
  return { folder, training: training.length, heldOut: validation.length };
}
