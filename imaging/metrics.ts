import { ClaraError } from '../base/errors';
import { squaredDistances } from './distance-transform';
import { geometriesAgree, requireRightAngles, spacingOf } from './geometry';
import type { Mask, Shape3 } from './volume';

/** How well a predicted mask agrees with the truth. Every value that is not 0 is foreground. */

/**
 * Dice coefficient, 2 |A and B| / (|A| + |B|) (Dice 1945): 1 for equal masks, 0 for disjoint ones. Two empty masks agree: 1.
 *
 * @throws ClaraError invalid-input when the numbers of voxels differ
 */
export function dice(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) {
    throw new ClaraError('invalid-input', `masks of ${a.length} and ${b.length} voxels cannot be compared`);
  }
  let both = 0;
  let sum = 0;
  for (let at = 0; at < a.length; at += 1) {
    const inA = a[at] === 0 ? 0 : 1;
    const inB = b[at] === 0 ? 0 : 1;
    both += inA & inB;
    sum += inA + inB;
  }
  return sum === 0 ? 1 : (2 * both) / sum;
}

/**
 * Distances between two surfaces, mm. The surface of a mask is its voxels with at least one of six neighbours outside it or
 * outside the grid; distances run between voxel centres.
 */
export interface SurfaceDistances {
  /** Average symmetric surface distance: mean over both surfaces of the distance to the other one. */
  readonly average: number;
  /** The larger of the two directed 95th percentiles (Maier-Hein et al. 2024, "Metrics reloaded"). */
  readonly hausdorff95: number;
}

/**
 * Both distances are 0 when both masks are empty; where only one is, no distance exists and the result is undefined.
 *
 * @throws ClaraError invalid-input when the masks lie on different grids, or on a sheared one
 */
export function surfaceDistances(a: Mask, b: Mask): SurfaceDistances | undefined {
  if (!geometriesAgree(a.geometry, b.geometry)) {
    throw new ClaraError(
      'invalid-input',
      'surfaces on different grids cannot be compared: resample one mask to the other',
    );
  }
  requireRightAngles(a.geometry, 'a surface distance');
  const box = boundingBox(a, b);
  if (box === undefined) return { average: 0, hausdorff95: 0 };
  const spacing = spacingOf(a.geometry);
  const surfaceA = surfaceOf(crop(a, box));
  const surfaceB = surfaceOf(crop(b, box));
  const fromA = distancesAt(surfaceA, squaredDistances(surfaceB, box.shape, spacing));
  const fromB = distancesAt(surfaceB, squaredDistances(surfaceA, box.shape, spacing));
  if (fromA.length === 0 || fromB.length === 0) return undefined;
  return {
    average: (sumOf(fromA) + sumOf(fromB)) / (fromA.length + fromB.length),
    hausdorff95: Math.max(percentile(fromA, 0.95), percentile(fromB, 0.95)),
  };
}

interface Box {
  readonly start: Shape3;
  readonly shape: Shape3;
}

/** The smallest box around both masks: nothing outside it can be the nearest surface of anything inside. */
function boundingBox(a: Mask, b: Mask): Box | undefined {
  const [ni, nj, nk] = a.geometry.shape;
  const low = [ni, nj, nk];
  const high = [-1, -1, -1];
  let at = 0;
  for (let k = 0; k < nk; k += 1) {
    for (let j = 0; j < nj; j += 1) {
      for (let i = 0; i < ni; i += 1, at += 1) {
        if (a.data[at] === 0 && b.data[at] === 0) continue;
        for (const [axis, index] of [i, j, k].entries()) {
          low[axis] = Math.min(low[axis], index);
          high[axis] = Math.max(high[axis], index);
        }
      }
    }
  }
  if (high[0] < 0) return undefined;
  return {
    start: [low[0], low[1], low[2]],
    shape: [high[0] - low[0] + 1, high[1] - low[1] + 1, high[2] - low[2] + 1],
  };
}

interface Block {
  readonly shape: Shape3;
  readonly data: Uint8Array;
}

function crop({ geometry, data }: Mask, { start, shape }: Box): Block {
  const [ni, nj] = geometry.shape;
  const block = new Uint8Array(shape[0] * shape[1] * shape[2]);
  for (let k = 0; k < shape[2]; k += 1) {
    for (let j = 0; j < shape[1]; j += 1) {
      const from = ((start[2] + k) * nj + start[1] + j) * ni + start[0];
      block.set(data.subarray(from, from + shape[0]), (k * shape[1] + j) * shape[0]);
    }
  }
  return { shape, data: block };
}

function surfaceOf({ shape: [ni, nj, nk], data }: Block): Uint8Array {
  const surface = new Uint8Array(data.length);
  const [down, plane] = [ni, ni * nj];
  let at = 0;
  for (let k = 0; k < nk; k += 1) {
    for (let j = 0; j < nj; j += 1) {
      for (let i = 0; i < ni; i += 1, at += 1) {
        if (data[at] === 0) continue;
        const atEdge = i === 0 || j === 0 || k === 0 || i === ni - 1 || j === nj - 1 || k === nk - 1;
        const open =
          atEdge ||
          data[at - 1] === 0 ||
          data[at + 1] === 0 ||
          data[at - down] === 0 ||
          data[at + down] === 0 ||
          data[at - plane] === 0 ||
          data[at + plane] === 0;
        if (open) surface[at] = 1;
      }
    }
  }
  return surface;
}

function distancesAt(surface: Uint8Array, squared: Float64Array): Float64Array {
  const distances: number[] = [];
  for (let at = 0; at < surface.length; at += 1) {
    if (surface[at] !== 0 && squared[at] !== Number.POSITIVE_INFINITY) distances.push(Math.sqrt(squared[at]));
  }
  return Float64Array.from(distances);
}

function sumOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** Linear interpolation between order statistics, as numpy's default. */
function percentile(values: Float64Array, share: number): number {
  const sorted = values.slice().sort();
  const position = share * (sorted.length - 1);
  const low = Math.floor(position);
  const high = Math.min(sorted.length - 1, low + 1);
  return sorted[low] + (position - low) * (sorted[high] - sorted[low]);
}
