import { endianness } from 'node:os';
import type { VoxelArray } from './volume';

/** The numbers that voxels can be, whatever file they come from: each is one kind of typed array. */

export type VoxelTypeName = 'uint8' | 'int8' | 'int16' | 'uint16' | 'int32' | 'uint32' | 'float32' | 'float64';

export interface VoxelType {
  readonly name: VoxelTypeName;
  readonly bytes: 1 | 2 | 4 | 8;
  /** Views `buffer`, whose bytes are in the byte order of this machine, as voxels. */
  readonly view: (buffer: ArrayBuffer) => VoxelArray;
}

export const VOXEL_TYPES: Readonly<Record<VoxelTypeName, VoxelType>> = {
  uint8: { name: 'uint8', bytes: 1, view: (buffer) => new Uint8Array(buffer) },
  int8: { name: 'int8', bytes: 1, view: (buffer) => new Int8Array(buffer) },
  int16: { name: 'int16', bytes: 2, view: (buffer) => new Int16Array(buffer) },
  uint16: { name: 'uint16', bytes: 2, view: (buffer) => new Uint16Array(buffer) },
  int32: { name: 'int32', bytes: 4, view: (buffer) => new Int32Array(buffer) },
  uint32: { name: 'uint32', bytes: 4, view: (buffer) => new Uint32Array(buffer) },
  float32: { name: 'float32', bytes: 4, view: (buffer) => new Float32Array(buffer) },
  float64: { name: 'float64', bytes: 8, view: (buffer) => new Float64Array(buffer) },
};

/** The type that stores `voxels` without loss. */
export function voxelTypeOf(voxels: VoxelArray): VoxelType {
  return VOXEL_TYPES[voxels.constructor.name.replace('Array', '').toLowerCase() as VoxelTypeName];
}

export const HOST_IS_LITTLE_ENDIAN = endianness() === 'LE';

/** Reverses the bytes of every element in place. */
export function swapBytes(bytes: Uint8Array, width: VoxelType['bytes']): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (width === 2) buffer.swap16();
  else if (width === 4) buffer.swap32();
  else if (width === 8) buffer.swap64();
}

/** The bytes of `data`, least significant first; a view of it where that is this machine's order. */
export function littleEndianBytes(data: VoxelArray): Uint8Array {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (HOST_IS_LITTLE_ENDIAN) return bytes;
  const copy = bytes.slice();
  swapBytes(copy, voxelTypeOf(data).bytes);
  return copy;
}
