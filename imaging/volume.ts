/**
 * A volume: voxels on a grid, and where that grid lies in the patient.
 *
 * Axes are image axes (i, j, k); `i` runs fastest in memory, so voxel (i, j, k) is `data[(k * nj + j) * ni + i]`.
 * World coordinates are RAS+ millimetres, as in NIfTI-1.
 */

/** Number of voxels along i, j, k. */
export type Shape3 = readonly [ni: number, nj: number, nk: number];

export type Vector3 = readonly [x: number, y: number, z: number];

/**
 * Row-major 3 x 4 matrix from voxel indices to RAS+ millimetres: x grows to the patient's right, y to the front, z to the
 * head. `world_r = a[4r] * i + a[4r + 1] * j + a[4r + 2] * k + a[4r + 3]`.
 */
export type Affine = readonly [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
];

export interface Geometry {
  readonly shape: Shape3;
  readonly affine: Affine;
}

export type VoxelArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array;

export interface Volume<Voxels extends VoxelArray = VoxelArray> {
  readonly geometry: Geometry;
  /** Real-world values (Hounsfield units for CT): a file's scaling is already applied. */
  readonly data: Voxels;
}

export type Mask = Volume<Uint8Array>;
