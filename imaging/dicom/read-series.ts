import { readFile } from 'node:fs/promises';
import { ClaraError } from '../../base/errors';
import { DEFAULT_MAX_BYTES } from '../byte-cursor';
import type { Volume, VoxelArray } from '../volume';
import { type DicomFile, parseFile } from './data-set';
import { pixelsOf, rangeOf } from './pixels';
import { orderSlices } from './series-grid';
import { referenceOf, type SeriesReference } from './series-reference';
import { type Slice, slicesOf } from './slice';

export interface DicomVolume extends Volume {
  readonly series: SeriesReference;
}

export interface ReadSeriesOptions {
  /** Largest number of bytes that the voxels may take. @default 2 GiB */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

/** More are no scan of a patient; an enhanced file has them as frames. */
const MAX_SLICES = 8192;

/**
 * Reads the slices of one series, in any order, as a volume: `i` along rows, `j` along columns, `k` along the normal of the
 * slices. Values are real (modality LUT applied), in the smallest type that holds them: Int16, Uint16, Int32 or Float32. One file
 * at a time is in memory beside the volume. Messages call files by their number, from 1.
 *
 * @param files paths or contents
 * @throws ClaraError invalid-input (several series, missing or unequal slices...), unsupported, corrupt, resource-exhausted
 */
export async function readDicomSeries(
  files: readonly (string | Uint8Array)[],
  options: ReadSeriesOptions = {},
): Promise<DicomVolume> {
  const { maxBytes = DEFAULT_MAX_BYTES, signal } = options;
  const load = async (at: number): Promise<DicomFile> => {
    if (signal?.aborted) throw ClaraError.from(signal.reason, 'reading the series');
    const source = files[at];
    const bytes = typeof source === 'string' ? await readFile(source) : source;
    return parseFile(bytes, `file ${at + 1}`, maxBytes);
  };

  const found: { readonly slice: Slice; readonly file: number }[] = [];
  for (let at = 0; at < files.length; at += 1) {
    for (const slice of slicesOf(await load(at))) found.push({ slice, file: at });
    if (found.length > MAX_SLICES) {
      throw new ClaraError(
        'resource-exhausted',
        `the series has more than ${MAX_SLICES} slices, the most that are read`,
      );
    }
  }
  const ordered = orderSlices(found.map(({ slice }) => slice));
  const { shape } = ordered.geometry;
  const pixels = shape[0] * shape[1];
  const make = arrayFor(ordered.slices);
  const bytes = pixels * shape[2] * make.BYTES_PER_ELEMENT;
  if (bytes > maxBytes) {
    throw new ClaraError(
      'resource-exhausted',
      `the series has ${shape.join(' x ')} voxels, ${bytes} bytes in all, which is over the limit of ${maxBytes}`,
    );
  }
  const places = new Map(ordered.slices.map((slice, k) => [slice, k]));
  let data: VoxelArray | undefined;
  let current: { readonly at: number; readonly file: DicomFile } | undefined;
  for (const { slice, file } of found) {
    if (current?.at !== file) current = { at: file, file: await load(file) };
    const put = await pixelsOf(current.file, slice);
    data ??= new make(pixels * shape[2]); // not before the first slice has shown that it has its pixels
    put(data, places.get(slice)! * pixels);
  }
  return { geometry: ordered.geometry, data: data!, series: referenceOf(ordered, current!.file.dataSet) };
}

type Make = { new (length: number): VoxelArray; readonly BYTES_PER_ELEMENT: number };

/** The smallest array that holds every value that these slices can have. */
function arrayFor(slices: readonly Slice[]): Make {
  const whole = slices.every(({ slope, intercept }) => Number.isInteger(slope) && Number.isInteger(intercept));
  let [least, greatest] = [0, 0];
  for (const slice of slices) {
    const [low, high] = rangeOf(slice);
    least = Math.min(least, low);
    greatest = Math.max(greatest, high);
  }
  if (!whole) return Float32Array;
  if (least >= -(2 ** 15) && greatest < 2 ** 15) return Int16Array;
  if (least >= 0 && greatest < 2 ** 16) return Uint16Array;
  return least >= -(2 ** 31) && greatest < 2 ** 31 ? Int32Array : Float32Array;
}
