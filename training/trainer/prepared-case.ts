import { createHash } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { hasCode } from '../../base/errors';
import { readTensors, type Tensor, writeTensors } from '../../federation/tensors/file';
import { type DecathlonDataset, imagePath, type LabelledCase, labelPath } from '../../imaging/decathlon';
import type { Shape3 } from '../../imaging/volume';
import { type Preprocessing, prepareScan, prepareTarget } from '../engine/preprocessing';
import { type CaseTitle, readLabelledScan } from './labelled-scan';

/**
 * One training case on the working grid, in bytes: 256 steps over a window of 400 HU are finer than the noise of any CT, and
 * many cases fit in memory.
 */
export interface PreparedCase {
  readonly shape: Shape3;
  /** Windowed intensity, 0..255. */
  readonly intensities: Uint8Array;
  /** Share of the voxel that the organ fills, 0..255. */
  readonly targets: Uint8Array;
  /** Indices of voxels that the organ fills at least by half. */
  readonly foreground: Uint32Array;
}

export const BYTE_SCALE = 255;
const HALF = 128;

/** Counted up whenever equal inputs begin to give other prepared cases. */
const CACHE_VERSION = 1;

export interface PrepareOptions extends Preprocessing {
  /** Value of the organ in label files. */
  readonly labelValue: number;
  /** Folder of prepared cases, to be found again by the next task. */
  readonly cacheFolder: string;
  readonly signal?: AbortSignal;
}

/**
 * Reads, resamples and windows a case, or takes what an earlier task of the run has made of the same files.
 *
 * @throws ClaraError as {@link readLabelledScan}
 */
export async function prepareCase(
  dataset: DecathlonDataset,
  labelled: LabelledCase,
  title: CaseTitle,
  options: PrepareOptions,
): Promise<PreparedCase> {
  const [image, label] = [imagePath(dataset, labelled), labelPath(dataset, labelled)];
  const cached = path.join(options.cacheFolder, `${await cacheKey([image, label], options)}.safetensors`);
  const known = await readCached(cached);
  if (known !== undefined) return known;

  const { scan, truth } = await readLabelledScan(dataset, labelled, title, options.labelValue, options.signal);
  const prepared = prepareScan(scan, options);
  const targets = prepareTarget(truth, prepared.geometry);
  const { shape } = prepared.geometry;
  const [intensityBytes, targetBytes] = [inBytes(prepared.intensities), inBytes(targets)];
  await mkdir(options.cacheFolder, { recursive: true });
  const rows = [...shape].reverse();
  await writeTensors(cached, [
    { name: 'intensities', dtype: 'U8', shape: rows, data: intensityBytes },
    { name: 'targets', dtype: 'U8', shape: rows, data: targetBytes },
  ]);
  return preparedCase(shape, intensityBytes, targetBytes);
}

/** Changes with the files and with everything that is done to them. */
async function cacheKey(files: readonly string[], { spacing, window, labelValue }: PrepareOptions): Promise<string> {
  const identities: unknown[] = [];
  for (const file of files) {
    const { size, mtimeMs } = await stat(file);
    identities.push([file, size, mtimeMs]);
  }
  const everything = JSON.stringify([CACHE_VERSION, identities, spacing, window.low, window.high, labelValue]);
  return createHash('sha256').update(everything).digest('hex').slice(0, 32);
}

async function readCached(file: string): Promise<PreparedCase | undefined> {
  let tensors: ReadonlyMap<string, Tensor>;
  try {
    ({ tensors } = await readTensors(file));
  } catch (error) {
    // What a cache does not have, or no longer has whole, is made again.
    if (hasCode(error, 'not-found', 'corrupt')) return undefined;
    throw error;
  }
  const [intensities, targets] = [tensors.get('intensities'), tensors.get('targets')];
  if (!(intensities?.data instanceof Uint8Array) || !(targets?.data instanceof Uint8Array)) return undefined;
  const [nk, nj, ni] = intensities.shape;
  return preparedCase([ni, nj, nk], intensities.data, targets.data);
}

function preparedCase(shape: Shape3, intensities: Uint8Array, targets: Uint8Array): PreparedCase {
  const foreground: number[] = [];
  for (let v = 0; v < targets.length; v++) if (targets[v] >= HALF) foreground.push(v);
  return { shape, intensities, targets, foreground: Uint32Array.from(foreground) };
}

function inBytes(values: Float32Array): Uint8Array {
  return Uint8Array.from(values, (value) => Math.round(value * BYTE_SCALE));
}
