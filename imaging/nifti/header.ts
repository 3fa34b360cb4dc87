import { ClaraError, type Fault, showFault } from '../../base/errors';
import { affineOf, isInvertible } from '../affine';
import type { Affine, Shape3, Vector3 } from '../volume';
import { DATATYPES, type NiftiDatatype } from './datatypes';
import { affineOfQuaternion } from './quaternion';

/**
 * The header of a NIfTI-1 file (nifti1.h, https://nifti.nimh.nih.gov/nifti-1): 348 bytes at fixed places, in the byte order
 * of whoever wrote it.
 */

export const HEADER_BYTES = 348;
/** Header and the four bytes that say whether extensions follow. */
export const SMALLEST_VOX_OFFSET = 352;

export type OrientationSource = 'sform' | 'qform' | 'pixdim';

export interface NiftiHeader {
  readonly littleEndian: boolean;
  readonly shape: Shape3;
  readonly datatype: NiftiDatatype;
  /** First byte of the voxels. */
  readonly voxOffset: number;
  /** `real = slope * stored + inter`. A stored slope of 0 means "no scaling" and is 1 here. */
  readonly slope: number;
  readonly inter: number;
  /** Frequency, phase and slice axes of the scanner, packed as in the file. */
  readonly dimInfo: number;
  /** All eight values as stored; the first is qfac, the rest voxel sizes in the file's unit. */
  readonly pixdim: readonly number[];
  readonly xyztUnits: number;
  readonly qformCode: number;
  readonly sformCode: number;
  /** Quaternion b, c, d as stored. */
  readonly quatern: Vector3;
  readonly qoffset: Vector3;
  /** srow_x, srow_y, srow_z as stored, in the file's unit. */
  readonly srow: Affine;
  /** Which of the standard's three methods gave {@link affine}. */
  readonly orientation: OrientationSource;
  /** Voxel indices to RAS+ millimetres. */
  readonly affine: Affine;
}

/** Byte offsets of the fields that matter here. */
export const FIELD = {
  sizeofHdr: 0,
  regular: 38,
  dimInfo: 39,
  dim: 40,
  datatype: 70,
  bitpix: 72,
  pixdim: 76,
  voxOffset: 108,
  sclSlope: 112,
  sclInter: 116,
  xyztUnits: 123,
  qformCode: 252,
  sformCode: 254,
  quatern: 256,
  qoffset: 268,
  srow: 280,
  magic: 344,
} as const;

/** Codes 0 to 4 of the standard and 5, "template other", of its later revision. */
const LAST_FORM_CODE = 5;

/** Millimetres per spatial unit, by the low three bits of xyzt_units: unknown (taken as mm), metre, mm, micrometre. */
const MILLIMETRES: Readonly<Record<number, number>> = { 0: 1, 1: 1000, 2: 1, 3: 0.001 };

/**
 * @param bytes at least the first 348 bytes of the file, not compressed
 * @param name what messages call the file
 * @throws ClaraError corrupt when the header contradicts itself, with every fault; unsupported for what is valid but not
 *   read here: NIfTI-2, header and image in two files, time series, colours, 64-bit integers
 */
export function parseNiftiHeader(bytes: Uint8Array, name: string): NiftiHeader {
  if (bytes.length < HEADER_BYTES) {
    throw new ClaraError('corrupt', `${name} has ${bytes.length} bytes, but a NIfTI-1 header alone takes 348`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const littleEndian = byteOrderOf(view, name);
  checkMagic(bytes, name);
  const faults: Fault[] = [];
  const shape = shapeOf(view, littleEndian, name, faults);
  const datatype = datatypeOf(view, littleEndian, name, faults);
  const form = {
    pixdim: floats(view, FIELD.pixdim, 8, littleEndian),
    xyztUnits: view.getUint8(FIELD.xyztUnits),
    qformCode: view.getInt16(FIELD.qformCode, littleEndian),
    sformCode: view.getInt16(FIELD.sformCode, littleEndian),
    quatern: floats(view, FIELD.quatern, 3, littleEndian) as unknown as Vector3,
    qoffset: floats(view, FIELD.qoffset, 3, littleEndian) as unknown as Vector3,
    srow: floats(view, FIELD.srow, 12, littleEndian) as unknown as Affine,
  };
  const { orientation, affine } = orientationOf(form, faults);
  const voxOffset = view.getFloat32(FIELD.voxOffset, littleEndian);
  if (!Number.isInteger(voxOffset) || voxOffset < SMALLEST_VOX_OFFSET) {
    faults.push({ path: 'vox_offset', value: String(voxOffset), rule: 'must be a whole number of bytes, 352 or more' });
  }
  const scaling = scalingOf(view, littleEndian, faults);
  if (faults.length > 0) {
    throw new ClaraError('corrupt', `the header of ${name} is wrong: ${faults.map(showFault).join('; ')}`, { faults });
  }
  return {
    littleEndian,
    shape,
    datatype,
    voxOffset,
    ...scaling,
    dimInfo: view.getUint8(FIELD.dimInfo),
    ...form,
    orientation,
    affine,
  };
}

function byteOrderOf(view: DataView, name: string): boolean {
  for (const littleEndian of [true, false]) {
    const size = view.getInt32(FIELD.sizeofHdr, littleEndian);
    if (size === HEADER_BYTES) return littleEndian;
    if (size === 540) {
      throw new ClaraError('unsupported', `${name} is a NIfTI-2 file, which is not read here: save it as NIfTI-1`);
    }
  }
  throw new ClaraError('corrupt', `${name} is no NIfTI-1 file: its first four bytes must hold the number 348`);
}

function checkMagic(bytes: Uint8Array, name: string): void {
  const magic = Buffer.from(bytes.subarray(FIELD.magic, HEADER_BYTES)).toString('latin1');
  if (magic === 'n+1\0') return;
  if (magic === 'ni1\0') {
    throw new ClaraError('unsupported', `${name} keeps its voxels in a second file (.hdr + .img): save it as one .nii`);
  }
  throw new ClaraError('corrupt', `${name} is no NIfTI-1 file: bytes 344 to 347 must be "n+1" and a zero`);
}

function shapeOf(view: DataView, littleEndian: boolean, name: string, faults: Fault[]): Shape3 {
  const dim = Array.from({ length: 8 }, (_, index) => view.getInt16(FIELD.dim + 2 * index, littleEndian));
  const rank = dim[0];
  if (rank < 1 || rank > 7) {
    faults.push({ path: 'dim[0]', value: String(rank), rule: 'must be 1 to 7' });
    return [1, 1, 1];
  }
  const used = dim.slice(1, rank + 1);
  const wrong = used.findIndex((size) => size < 1);
  if (wrong >= 0) {
    faults.push({ path: `dim[${wrong + 1}]`, value: String(used[wrong]), rule: 'must be 1 or more' });
    return [1, 1, 1];
  }
  if (rank < 3 || used.slice(3).some((size) => size !== 1)) {
    throw new ClaraError(
      'unsupported',
      `${name} has dimensions ${used.join(' x ')}, but one volume with three axes is needed: split a series first`,
    );
  }
  return [used[0], used[1], used[2]];
}

function datatypeOf(view: DataView, littleEndian: boolean, name: string, faults: Fault[]): NiftiDatatype {
  const code = view.getInt16(FIELD.datatype, littleEndian);
  const bitpix = view.getInt16(FIELD.bitpix, littleEndian);
  const datatype = DATATYPES.find((known) => known.code === code);
  if (datatype === undefined) {
    if (OTHER_DATATYPES.has(code)) {
      throw new ClaraError(
        'unsupported',
        `${name} has voxels of NIfTI datatype ${code}: convert it to an integer of up to 32 bits, float32 or float64`,
      );
    }
    faults.push({ path: 'datatype', value: String(code), rule: 'must be a code that NIfTI-1 defines' });
    return DATATYPES[0];
  }
  if (bitpix !== datatype.bytes * 8) {
    const rule = `must be ${datatype.bytes * 8} for datatype ${code} (${datatype.name})`;
    faults.push({ path: 'bitpix', value: String(bitpix), rule });
  }
  return datatype;
}

/** Binary, complex, RGB, 64-bit integers, float128, complex128 and 256, RGBA. */
const OTHER_DATATYPES: ReadonlySet<number> = new Set([1, 32, 128, 1024, 1280, 1536, 1792, 2048, 2304]);

function scalingOf(view: DataView, littleEndian: boolean, faults: Fault[]): { slope: number; inter: number } {
  const slope = view.getFloat32(FIELD.sclSlope, littleEndian);
  const inter = view.getFloat32(FIELD.sclInter, littleEndian);
  if (slope === 0) return { slope: 1, inter: 0 };
  if (!Number.isFinite(slope)) {
    faults.push({ path: 'scl_slope', value: String(slope), rule: 'must be finite, or 0 for no scaling' });
  }
  if (!Number.isFinite(inter)) faults.push({ path: 'scl_inter', value: String(inter), rule: 'must be finite' });
  return { slope, inter };
}

type Form = Pick<NiftiHeader, 'pixdim' | 'xyztUnits' | 'qformCode' | 'sformCode' | 'quatern' | 'qoffset' | 'srow'>;

/** The sform where there is one, else the qform, else voxel sizes alone (methods 3, 2 and 1 of the standard). */
function orientationOf(form: Form, faults: Fault[]): Pick<NiftiHeader, 'orientation' | 'affine'> {
  const before = faults.length;
  for (const [path, code] of [
    ['qform_code', form.qformCode],
    ['sform_code', form.sformCode],
  ] as const) {
    if (code < 0 || code > LAST_FORM_CODE) {
      faults.push({ path, value: String(code), rule: `must be 0 to ${LAST_FORM_CODE}: no other orientation is known` });
    }
  }
  const unit = MILLIMETRES[form.xyztUnits & 7];
  if (unit === undefined) {
    faults.push({ path: 'xyzt_units', value: String(form.xyztUnits), rule: 'must name metres, mm or micrometres' });
  }
  const orientation = form.sformCode > 0 ? 'sform' : form.qformCode > 0 ? 'qform' : 'pixdim';
  const affine = faults.length > before ? undefined : AFFINE_BY[orientation](form, faults);
  if (affine === undefined || faults.length > before) return { orientation, affine: form.srow };
  if (!isInvertible(affine)) {
    faults.push({
      path: orientation,
      value: `[${affine.join(', ')}]`,
      rule: 'must have three axes that span the space',
    });
  }
  return { orientation, affine: affine.map((value) => value * unit) as unknown as Affine };
}

const AFFINE_BY: Readonly<Record<OrientationSource, (form: Form, faults: Fault[]) => Affine>> = {
  sform: ({ srow }, faults) => {
    if (!srow.every(Number.isFinite)) {
      faults.push({ path: 'srow', value: `[${srow.join(', ')}]`, rule: 'must be twelve finite numbers' });
    }
    return srow;
  },
  qform: (form, faults) => {
    const spacing = spacingOf(form, faults);
    const [b, c, d] = form.quatern;
    // Single precision may exceed 1 by a few units in the last place; more is not a rotation.
    if (!(b * b + c * c + d * d <= 1 + 1e-5)) {
      faults.push({ path: 'quatern', value: `[${b}, ${c}, ${d}]`, rule: 'must have a length of 1 or less' });
    }
    if (!form.qoffset.every(Number.isFinite)) {
      faults.push({ path: 'qoffset', value: `[${form.qoffset.join(', ')}]`, rule: 'must be three finite numbers' });
    }
    // The standard reads a missing qfac (0) as 1.
    return affineOfQuaternion({ b, c, d, qfac: form.pixdim[0] < 0 ? -1 : 1 }, spacing, form.qoffset);
  },
  pixdim: (form, faults) => {
    const [x, y, z] = spacingOf(form, faults);
    return affineOf(
      [
        [x, 0, 0],
        [0, y, 0],
        [0, 0, z],
      ],
      [0, 0, 0],
    );
  },
};

function spacingOf({ pixdim }: Form, faults: Fault[]): Vector3 {
  const spacing: Vector3 = [pixdim[1], pixdim[2], pixdim[3]];
  spacing.forEach((step, axis) => {
    if (!(Number.isFinite(step) && step > 0)) {
      faults.push({ path: `pixdim[${axis + 1}]`, value: String(step), rule: 'must be a voxel size greater than 0' });
    }
  });
  return spacing;
}

function floats(view: DataView, offset: number, count: number, littleEndian: boolean): number[] {
  return Array.from({ length: count }, (_, index) => view.getFloat32(offset + 4 * index, littleEndian));
}
