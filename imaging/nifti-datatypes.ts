import type { VoxelArray } from './volume';

/** The voxel types of NIfTI-1 that become typed arrays, with their codes in the header. */
export interface NiftiDatatype {
  readonly code: number;
  readonly name: string;
  readonly bytes: 1 | 2 | 4 | 8;
  /** Views `buffer`, whose bytes are in the byte order of this machine, as voxels. */
  readonly view: (buffer: ArrayBuffer) => VoxelArray;
}

export const DATATYPES: readonly NiftiDatatype[] = [
  { code: 2, name: 'uint8', bytes: 1, view: (buffer) => new Uint8Array(buffer) },
  { code: 256, name: 'int8', bytes: 1, view: (buffer) => new Int8Array(buffer) },
  { code: 4, name: 'int16', bytes: 2, view: (buffer) => new Int16Array(buffer) },
  { code: 512, name: 'uint16', bytes: 2, view: (buffer) => new Uint16Array(buffer) },
  { code: 8, name: 'int32', bytes: 4, view: (buffer) => new Int32Array(buffer) },
  { code: 768, name: 'uint32', bytes: 4, view: (buffer) => new Uint32Array(buffer) },
  { code: 16, name: 'float32', bytes: 4, view: (buffer) => new Float32Array(buffer) },
  { code: 64, name: 'float64', bytes: 8, view: (buffer) => new Float64Array(buffer) },
];

/** The datatype that stores `voxels` without loss. */
export function datatypeFor(voxels: VoxelArray): NiftiDatatype {
  const name = voxels.constructor.name.replace('Array', '').toLowerCase();
  return DATATYPES.find((datatype) => datatype.name === name)!;
}

/** Reverses the bytes of every element in place. */
export function swapBytes(bytes: Uint8Array, width: NiftiDatatype['bytes']): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (width === 2) buffer.swap16();
  else if (width === 4) buffer.swap32();
  else if (width === 8) buffer.swap64();
}
