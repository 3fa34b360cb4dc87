import type { VoxelArray } from '../volume';
import { VOXEL_TYPES, type VoxelType, voxelTypeOf } from '../voxel-types';

/** The voxel types of NIfTI-1 that become typed arrays, with their codes in the header. */
export interface NiftiDatatype extends VoxelType {
  readonly code: number;
}

export const DATATYPES: readonly NiftiDatatype[] = [
  { code: 2, ...VOXEL_TYPES.uint8 },
  { code: 256, ...VOXEL_TYPES.int8 },
  { code: 4, ...VOXEL_TYPES.int16 },
  { code: 512, ...VOXEL_TYPES.uint16 },
  { code: 8, ...VOXEL_TYPES.int32 },
  { code: 768, ...VOXEL_TYPES.uint32 },
  { code: 16, ...VOXEL_TYPES.float32 },
  { code: 64, ...VOXEL_TYPES.float64 },
];

/** The datatype that stores `voxels` without loss. */
export function datatypeFor(voxels: VoxelArray): NiftiDatatype {
  const { name } = voxelTypeOf(voxels);
  return DATATYPES.find((datatype) => datatype.name === name)!;
}
