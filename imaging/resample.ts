import { compose, invert } from './affine';
import { gridWithSpacing, orientationOf, reorient } from './geometry';
import { type AxisTaps, isInBox, linearTaps, nearestIndex } from './resample-axis';
import type { Affine, Geometry, Mask, Vector3, Volume, VoxelArray } from './volume';

/**
 * Moving a volume to another grid, in world space.
 *
 * Edges: a voxel is a box around its centre, so the volume reaches half a voxel beyond its outermost centres. Inside that box
 * the outermost values are repeated; outside it a voxel gets `outside`. Interpolation is trilinear without a low-pass filter.
 */
export interface ResampleOptions {
  /** Value of voxels outside the source; `edge` repeats the nearest value. @default 'edge' */
  readonly outside?: number | 'edge';
}

/**
 * How a mask goes to another grid. `nearest` keeps every label value. `linear` interpolates the share of each voxel that is
 * foreground (not 0) and keeps what reaches a half, as 1: smoother borders, for masks of one structure.
 */
export type MaskMethod = 'nearest' | 'linear';

/** Trilinear interpolation onto `target`. @throws ClaraError invalid-input when an affine is singular */
export function resampleTo(volume: Volume, target: Geometry, options: ResampleOptions = {}): Volume<Float32Array> {
  const { outside = 'edge' } = options;
  const data = sampleOnto(volume, target, outside, {
    separable: (source, map) => interpolateSeparably(source, target, map, outside),
    anywhere: interpolateAt,
    make: (length) => new Float32Array(length),
  });
  return { geometry: target, data };
}

/** The same field of view with other voxel sizes; see {@link gridWithSpacing}. */
export function resampleToSpacing(volume: Volume, spacing: Vector3): Volume<Float32Array> {
  return resampleTo(volume, gridWithSpacing(volume.geometry, spacing));
}

/** A mask onto `target`; 0 outside its own grid. @throws ClaraError invalid-input when an affine is singular */
export function resampleMaskTo(mask: Mask, target: Geometry, method: MaskMethod = 'nearest'): Mask {
  if (method === 'linear') {
    const share: Mask = { geometry: mask.geometry, data: mask.data.map((value) => (value === 0 ? 0 : 1)) };
    return { geometry: target, data: foregroundOf(resampleTo(share, target, { outside: 0 }).data) };
  }
  const data = sampleOnto(mask, target, 0, {
    separable: (source, map) => pickSeparably(source, target, map),
    anywhere: pickAt,
    make: (length) => new Uint8Array(length),
  });
  return { geometry: target, data };
}

/** 1 where a probability is a half or more. */
export function foregroundOf(probability: ArrayLike<number>): Uint8Array {
  const mask = new Uint8Array(probability.length);
  for (let at = 0; at < mask.length; at += 1) mask[at] = probability[at] >= 0.5 ? 1 : 0;
  return mask;
}

interface Sampler<Voxels extends VoxelArray, Result extends VoxelArray> {
  /** For grids whose axes are parallel and in the same order; `map` is target index to source index, diagonal. */
  readonly separable: (source: Volume<Voxels>, map: Affine) => Result;
  /** One value at a source index inside the volume's box. */
  readonly anywhere: (source: Volume<Voxels>, i: number, j: number, k: number) => number;
  readonly make: (length: number) => Result;
}

function sampleOnto<Voxels extends VoxelArray, Result extends VoxelArray>(
  volume: Volume<Voxels>,
  target: Geometry,
  outside: number | 'edge',
  sampler: Sampler<Voxels, Result>,
): Result {
  const ordered = reorient(volume, orientationOf(target));
  const map = compose(invert(ordered.geometry.affine), target.affine);
  if (isDiagonal(map, target)) return sampler.separable(ordered, map);
  return sampleEverywhere(ordered, target, map, outside, sampler);
}

/** Off-axis steps that add up to less than a thousandth of a voxel over the whole grid are rounding of the header. */
function isDiagonal(map: Affine, { shape }: Geometry): boolean {
  return [0, 1, 2].every((row) =>
    [0, 1, 2].every((column) => row === column || Math.abs(map[4 * row + column]) * shape[column] < 1e-3),
  );
}

function axisTaps(source: Volume, target: Geometry, map: Affine): [AxisTaps, AxisTaps, AxisTaps] {
  const of = (axis: number): AxisTaps =>
    linearTaps(source.geometry.shape[axis], target.shape[axis], map[5 * axis], map[4 * axis + 3]);
  return [of(0), of(1), of(2)];
}

/** One axis after the other, those that shrink the volume most first. */
function interpolateSeparably(source: Volume, target: Geometry, map: Affine, outside: number | 'edge'): Float32Array {
  const taps = axisTaps(source, target, map);
  const shape = [...source.geometry.shape];
  const order = [0, 1, 2].sort((a, b) => target.shape[a] / shape[a] - target.shape[b] / shape[b]);
  let data: ArrayLike<number> = source.data;
  for (const axis of order) {
    const inner = shape.slice(0, axis).reduce((product, size) => product * size, 1);
    const outer = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
    data = interpolateAxis(data, inner, shape[axis], outer, taps[axis]);
    shape[axis] = target.shape[axis];
  }
  const result = data as Float32Array;
  if (outside !== 'edge') blankOutside(result, target, taps, outside);
  return result;
}

function interpolateAxis(
  source: ArrayLike<number>,
  inner: number,
  size: number,
  outer: number,
  { lower, upper, weight }: AxisTaps,
): Float32Array {
  const length = lower.length;
  const result = new Float32Array(inner * length * outer);
  let at = 0;
  for (let block = 0; block < outer; block += 1) {
    const base = block * size * inner;
    for (let index = 0; index < length; index += 1) {
      let low = base + lower[index] * inner;
      let high = base + upper[index] * inner;
      const share = weight[index];
      for (let step = 0; step < inner; step += 1, at += 1, low += 1, high += 1) {
        result[at] = source[low] + share * (source[high] - source[low]);
      }
    }
  }
  return result;
}

function blankOutside(data: Float32Array, { shape }: Geometry, taps: readonly AxisTaps[], value: number): void {
  const [ni, nj, nk] = shape;
  if (taps.every(({ inside }) => inside.every((flag) => flag === 1))) return;
  let at = 0;
  for (let k = 0; k < nk; k += 1) {
    for (let j = 0; j < nj; j += 1) {
      const row = taps[2].inside[k] & taps[1].inside[j];
      for (let i = 0; i < ni; i += 1, at += 1) {
        if ((row & taps[0].inside[i]) === 0) data[at] = value;
      }
    }
  }
}

function pickSeparably(source: Mask, target: Geometry, map: Affine): Uint8Array {
  const [si, sj] = source.geometry.shape;
  const [ni, nj, nk] = target.shape;
  const nearest = [0, 1, 2].map((axis) =>
    nearestIndex(source.geometry.shape[axis], target.shape[axis], map[5 * axis], map[4 * axis + 3]),
  );
  const result = new Uint8Array(ni * nj * nk);
  let at = 0;
  for (let k = 0; k < nk; k += 1) {
    for (let j = 0; j < nj; j += 1) {
      const inside = nearest[2][k] >= 0 && nearest[1][j] >= 0;
      const row = (nearest[2][k] * sj + nearest[1][j]) * si;
      for (let i = 0; i < ni; i += 1, at += 1) {
        result[at] = inside && nearest[0][i] >= 0 ? source.data[row + nearest[0][i]] : 0;
      }
    }
  }
  return result;
}

function sampleEverywhere<Voxels extends VoxelArray, Result extends VoxelArray>(
  source: Volume<Voxels>,
  target: Geometry,
  map: Affine,
  outside: number | 'edge',
  { anywhere, make }: Sampler<Voxels, Result>,
): Result {
  const [ni, nj, nk] = target.shape;
  const [si, sj, sk] = source.geometry.shape;
  const result = make(ni * nj * nk);
  let at = 0;
  for (let k = 0; k < nk; k += 1) {
    for (let j = 0; j < nj; j += 1) {
      for (let i = 0; i < ni; i += 1, at += 1) {
        const x = map[0] * i + map[1] * j + map[2] * k + map[3];
        const y = map[4] * i + map[5] * j + map[6] * k + map[7];
        const z = map[8] * i + map[9] * j + map[10] * k + map[11];
        const known = outside === 'edge' || (isInBox(x, si) && isInBox(y, sj) && isInBox(z, sk));
        result[at] = known ? anywhere(source, x, y, z) : outside;
      }
    }
  }
  return result;
}

function clamp(value: number, size: number): number {
  return Math.min(size - 1, Math.max(0, value));
}

function interpolateAt({ geometry, data }: Volume, x: number, y: number, z: number): number {
  const [ni, nj, nk] = geometry.shape;
  const [cx, cy, cz] = [clamp(x, ni), clamp(y, nj), clamp(z, nk)];
  const [i, j, k] = [Math.floor(cx), Math.floor(cy), Math.floor(cz)];
  const [u, v, w] = [cx - i, cy - j, cz - k];
  const right = i + 1 < ni ? 1 : 0;
  const front = j + 1 < nj ? ni : 0;
  const up = k + 1 < nk ? ni * nj : 0;
  const at = (k * nj + j) * ni + i;
  const line = (start: number): number => data[start] + u * (data[start + right] - data[start]);
  const plane = (start: number): number => line(start) + v * (line(start + front) - line(start));
  return plane(at) + w * (plane(at + up) - plane(at));
}

function pickAt({ geometry, data }: Volume, x: number, y: number, z: number): number {
  const [ni, nj, nk] = geometry.shape;
  const [i, j, k] = [Math.round(clamp(x, ni)), Math.round(clamp(y, nj)), Math.round(clamp(z, nk))];
  return data[(k * nj + j) * ni + i];
}
