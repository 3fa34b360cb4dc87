import { columnOf } from '../affine';
import type { Affine, Volume } from '../volume';
import { checkVoxelCount, gzipSameEverywhere, storeVolume } from '../volume-bytes';
import { littleEndianBytes, voxelTypeOf } from '../voxel-types';
import { WRITTEN_NAME } from './fields';

export interface EncodeNrrdOptions {
  /** @default 'gzip' */
  readonly encoding?: 'raw' | 'gzip';
}

const LONGEST_AXIS = 2 ** 31 - 1;

/**
 * The bytes of a `.nrrd` file with its header attached, in the space left-posterior-superior that most programs write. Numbers
 * of the header are written so that they read back exactly.
 *
 * @throws ClaraError invalid-input when the voxels do not fill the grid
 */
export async function encodeNrrd(volume: Volume, { encoding = 'gzip' }: EncodeNrrdOptions = {}): Promise<Uint8Array> {
  checkVoxelCount(volume, 'NRRD', LONGEST_AXIS);
  const { shape, affine } = volume.geometry;
  const header = [
    'NRRD0004',
    `type: ${WRITTEN_NAME[voxelTypeOf(volume.data).name]}`,
    'dimension: 3',
    'space: left-posterior-superior',
    `sizes: ${shape.join(' ')}`,
    `space directions: ${[0, 1, 2].map((axis) => lpsVector(affine, axis)).join(' ')}`,
    'kinds: domain domain domain',
    'endian: little',
    `encoding: ${encoding}`,
    `space origin: ${lpsVector(affine, 3)}`,
    '',
    '',
  ].join('\n');
  const voxels = littleEndianBytes(volume.data);
  return Buffer.concat([
    Buffer.from(header, 'latin1'),
    encoding === 'gzip' ? await gzipSameEverywhere(voxels) : voxels,
  ]);
}

/** Writes a volume; the file is there whole or not at all. */
export async function writeNrrd(
  target: string,
  volume: Volume,
  options: EncodeNrrdOptions & { readonly signal?: AbortSignal } = {},
): Promise<void> {
  await storeVolume(target, await encodeNrrd(volume, options), options.signal);
}

function lpsVector(affine: Affine, axis: number): string {
  const [x, y, z] = columnOf(affine, axis);
  // Adding 0 turns -0 into 0.
  return `(${[0 - x, 0 - y, z].map((value) => value + 0).join(',')})`;
}
