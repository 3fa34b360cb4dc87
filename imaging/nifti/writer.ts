import { ClaraError } from '../../base/errors';
import { columnOf, lengthOf } from '../affine';
import { geometriesAgree } from '../geometry';
import type { Affine, Volume } from '../volume';
import { checkVoxelCount, gzipSameEverywhere, storeVolume } from '../volume-bytes';
import { littleEndianBytes } from '../voxel-types';
import { datatypeFor } from './datatypes';
import { FIELD, HEADER_BYTES, type NiftiHeader, SMALLEST_VOX_OFFSET } from './header';
import { quaternionOf } from './quaternion';

export interface EncodeNiftiOptions {
  /**
   * Header of the volume that this one was made from: its qform, sform, pixdim, units and scanner axes are repeated bit for
   * bit, so that every viewer lays the two over each other.
   */
  readonly like?: NiftiHeader;
}

export interface WriteNiftiOptions extends EncodeNiftiOptions {
  readonly signal?: AbortSignal;
}

const MILLIMETRES_AND_SECONDS = 2 | 8;
/** "Scanner anatomical" coordinates. */
const SCANNER = 1;
/** Axes are counted in 16 bits. */
const LONGEST_AXIS = 32767;
/** Header field `regular`, which ANALYZE 7.5 readers expect. */
const REGULAR = 'r'.charCodeAt(0);
/**
 * The bytes of a little-endian `.nii` file in the volume's own voxel type, without scaling. Without `like`, sform and qform
 * say the same; a sheared affine, which a qform cannot express, gets a sform alone.
 *
 * @throws ClaraError invalid-input when `like` has another grid than the volume, or an axis is too long for NIfTI-1
 */
export function encodeNifti(volume: Volume, options: EncodeNiftiOptions = {}): Uint8Array {
  const { shape } = volume.geometry;
  checkVolume(volume, options.like);
  const datatype = datatypeFor(volume.data);
  const bytes = new Uint8Array(SMALLEST_VOX_OFFSET + volume.data.byteLength);
  const view = new DataView(bytes.buffer);
  view.setInt32(FIELD.sizeofHdr, HEADER_BYTES, true);
  view.setUint8(FIELD.regular, REGULAR);
  [3, ...shape, 1, 1, 1, 1].forEach((size, index) => {
    view.setInt16(FIELD.dim + 2 * index, size, true);
  });
  view.setInt16(FIELD.datatype, datatype.code, true);
  view.setInt16(FIELD.bitpix, datatype.bytes * 8, true);
  view.setFloat32(FIELD.voxOffset, SMALLEST_VOX_OFFSET, true);
  view.setFloat32(FIELD.sclSlope, 1, true);
  writeForm(view, options.like ?? formOf(volume.geometry.affine));
  bytes.set(Buffer.from('n+1\0', 'latin1'), FIELD.magic);
  bytes.set(littleEndianBytes(volume.data), SMALLEST_VOX_OFFSET);
  return bytes;
}

/**
 * Writes a volume, gzipped when the name ends in `.gz`. The bytes are a function of the volume and the options alone (no time
 * stamp), and the file is there whole or not at all.
 */
export async function writeNifti(target: string, volume: Volume, options: WriteNiftiOptions = {}): Promise<void> {
  const bytes = encodeNifti(volume, options);
  options.signal?.throwIfAborted();
  const stored = target.endsWith('.gz') ? await gzipSameEverywhere(bytes) : bytes;
  await storeVolume(target, stored, options.signal);
}

function checkVolume(volume: Volume, like: NiftiHeader | undefined): void {
  const { geometry } = volume;
  checkVoxelCount(volume, 'NIfTI-1', LONGEST_AXIS);
  if (like !== undefined && !geometriesAgree(geometry, like)) {
    throw new ClaraError(
      'invalid-input',
      `the volume (${geometry.shape.join(' x ')}) does not lie on the grid of the header it is to repeat (${like.shape.join(' x ')})`,
    );
  }
}

type Form = Pick<
  NiftiHeader,
  'dimInfo' | 'pixdim' | 'xyztUnits' | 'qformCode' | 'sformCode' | 'quatern' | 'qoffset' | 'srow'
>;

function formOf(affine: Affine): Form {
  const quaternion = quaternionOf(affine);
  const spacing = [0, 1, 2].map((axis) => lengthOf(columnOf(affine, axis)));
  return {
    dimInfo: 0,
    pixdim: [quaternion?.qfac ?? 1, ...spacing, 0, 0, 0, 0],
    xyztUnits: MILLIMETRES_AND_SECONDS,
    qformCode: quaternion === undefined ? 0 : SCANNER,
    sformCode: SCANNER,
    quatern: quaternion === undefined ? [0, 0, 0] : [quaternion.b, quaternion.c, quaternion.d],
    qoffset: columnOf(affine, 3),
    srow: affine,
  };
}

function writeForm(view: DataView, form: Form): void {
  const floats = (offset: number, values: readonly number[]): void =>
    values.forEach((value, index) => {
      view.setFloat32(offset + 4 * index, value, true);
    });
  view.setUint8(FIELD.dimInfo, form.dimInfo);
  view.setUint8(FIELD.xyztUnits, form.xyztUnits);
  view.setInt16(FIELD.qformCode, form.qformCode, true);
  view.setInt16(FIELD.sformCode, form.sformCode, true);
  floats(FIELD.pixdim, form.pixdim);
  floats(FIELD.quatern, form.quatern);
  floats(FIELD.qoffset, form.qoffset);
  floats(FIELD.srow, form.srow);
}
