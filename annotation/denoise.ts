import type { Shape3 } from '../imaging/volume';
import { medianOf } from './tissue-model';
import type { WorkGrid } from './work-grid';

/** Voxels by which noise is judged: what is cut off at the ends of the range has none. */
const SOFT_TISSUE = { low: -150, high: 250 } as const;
const MAD_TO_SIGMA = 1.4826;
/** Voxels are compared with those up to so many away along each axis, by the cubes of three voxels round both. */
const SEARCH = 2;
/** Units of noise by which cubes may differ beyond what noise alone explains. */
const DIFFERENCE = 0.5;

/**
 * Standard deviation of a voxel's noise, HU: of what it differs by from the mean of its neighbours, robust against edges
 * (Gasser, Sroka and Jennen-Steinmetz, "Residual variance and residual pattern in nonlinear regression", Biometrika 73, 1986).
 */
export function noiseIn({ geometry: { shape }, data }: WorkGrid): number {
  const strides = [1, shape[0], shape[0] * shape[1]];
  const residuals: number[] = [];
  for (let at = 0; at < data.length; at += 1) {
    if (data[at] <= SOFT_TISSUE.low || data[at] >= SOFT_TISSUE.high) continue;
    let sum = 0;
    let count = 0;
    strides.forEach((stride, axis) => {
      const index = Math.floor(at / stride) % shape[axis];
      if (index > 0) [sum, count] = [sum + data[at - stride], count + 1];
      if (index + 1 < shape[axis]) [sum, count] = [sum + data[at + stride], count + 1];
    });
    if (count > 0) residuals.push(Math.abs(data[at] - sum / count) * Math.sqrt(count / (count + 1)));
  }
  return MAD_TO_SIGMA * medianOf(residuals);
}

/**
 * The grid with its noise brought down to about `mostHu`, edges kept: partly replaced by non-local means (Buades, Coll and
 * Morel, "A non-local algorithm for image denoising", CVPR 2005; in 3D Coupé et al., IEEE Transactions on Medical Imaging 27,
 * 2008). A grid with less noise is returned as it is.
 */
export function withNoiseAtMost(grid: WorkGrid, mostHu: number): WorkGrid {
  const noise = noiseIn(grid);
  if (noise <= mostHu) return grid;
  const share = 1 - mostHu / noise;
  const means = nonLocalMeans(grid, noise);
  return { ...grid, data: grid.data.map((value, at) => value + share * (means[at] - value)) };
}

function nonLocalMeans({ geometry: { shape }, data }: WorkGrid, noise: number): Float64Array {
  const [ni, nj, nk] = shape;
  const sum = Float64Array.from(data);
  const total = new Float64Array(data.length).fill(1);
  const squares = new Float32Array(data.length);
  const differences = new Float32Array(data.length);
  const tolerance = (DIFFERENCE * noise) ** 2;
  for (const [di, dj, dk] of HALF_OF_SEARCH) {
    const overlap: Overlap = {
      first: [Math.max(0, -di), Math.max(0, -dj), 0],
      end: [Math.min(ni, ni - di), Math.min(nj, nj - dj), nk - dk],
    };
    const offset = (dk * nj + dj) * ni + di;
    forRows(shape, overlap, (from, to) => {
      for (let at = from; at < to; at += 1) squares[at] = (data[at] - data[at + offset]) ** 2;
    });
    meansOfCubes(squares, differences, shape, overlap);
    forRows(shape, overlap, (from, to) => {
      for (let at = from; at < to; at += 1) {
        const beyondNoise = Math.max(0, differences[at] - 2 * noise * noise) / tolerance;
        const weight = Math.exp(-beyondNoise);
        sum[at] += weight * data[at + offset];
        total[at] += weight;
        sum[at + offset] += weight * data[at];
        total[at + offset] += weight;
      }
    });
  }
  return sum.map((value, at) => value / total[at]);
}

/** One of each two opposite ways, as both voxels learn from each other. */
const HALF_OF_SEARCH: readonly Shape3[] = (() => {
  const steps = Array.from({ length: 2 * SEARCH + 1 }, (_, at) => at - SEARCH);
  const all = steps.flatMap((dk) => steps.flatMap((dj) => steps.map((di): Shape3 => [di, dj, dk])));
  return all.slice((all.length + 1) / 2);
})();

/** First voxel along each axis, and the one after the last. */
interface Overlap {
  readonly first: Shape3;
  readonly end: Shape3;
}

function forRows([ni, nj]: Shape3, { first, end }: Overlap, visit: (from: number, to: number) => void): void {
  for (let k = first[2]; k < end[2]; k += 1) {
    for (let j = first[1]; j < end[1]; j += 1) {
      const row = (k * nj + j) * ni;
      visit(row + first[0], row + end[0]);
    }
  }
}

/** Means over three voxels along each axis, within the overlap, whose outermost values are repeated. Both arrays are overwritten. */
function meansOfCubes(values: Float32Array, result: Float32Array, shape: Shape3, overlap: Overlap): void {
  const strides = [1, shape[0], shape[0] * shape[1]];
  let [source, target] = [values, result];
  for (const axis of [0, 1, 2]) {
    const [first, last] = [overlap.first[axis], overlap.end[axis] - 1];
    forRows(shape, overlap, (from, to) => {
      for (let at = from; at < to; at += 1) {
        const index = Math.floor(at / strides[axis]) % shape[axis];
        const before = index > first ? strides[axis] : 0;
        const after = index < last ? strides[axis] : 0;
        target[at] = (source[at - before] + source[at] + source[at + after]) / 3;
      }
    });
    [source, target] = [target, source];
  }
}
