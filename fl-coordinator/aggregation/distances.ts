import { LANES } from './kernels';
import { type Scan, scanBlocks } from './scan';

/** Rows of one tile that stay in the second-level cache. */
const ROWS_BYTES = 256 << 10;
const MAX_TILE_ELEMENTS = 2048;
const MIN_TILE_ELEMENTS = 16;

/** Squared Euclidean distances between all updates of a round, over all combined tensors; infinite when no number is. */
export interface Distances {
  readonly contributors: number;
  /** By row and column, each a contributor. */
  readonly squares: Float64Array;
}

/**
 * |a - b|^2 = |a|^2 + |b|^2 - 2 a.b, for a and b relative to the global model: updates lie near it, so little is lost to
 * cancellation. One pass, contributors squared numbers; products are summed in float64 in model order, and the sum of a pair
 * depends on these two updates alone.
 */
export async function squaredDistances(scan: Scan, factors: readonly number[]): Promise<Distances> {
  const { memory } = scan;
  const { kernels } = memory;
  const contributors = factors.length;
  const { rows, tile, rowsAt, sumsAt } = placesIn(memory.scratch, contributors);
  const sums = new Float64Array(memory.buffer, sumsAt, rows * rows).fill(0);
  const reading = { contributors: [...factors.keys()], factors, model: true };
  await scanBlocks(scan, reading, (set, dtype, n) => {
    const difference = dtype === 'F64' ? kernels.difference64 : kernels.difference32;
    for (let begin = 0; begin < n; begin += tile) {
      const count = Math.min(tile, n - begin);
      const offset = begin * (dtype === 'F64' ? 8 : 4);
      for (let i = 0; i < contributors; i++) {
        difference(memory.columnAt(set, i) + offset, memory.modelAt(set) + offset, rowsAt + i * count * 8, count);
      }
      memory.bytes(rowsAt + contributors * count * 8, (rows - contributors) * count * 8).fill(0);
      kernels.gram(rowsAt, rows, sumsAt, count);
    }
  });
  const squares = new Float64Array(contributors * contributors);
  for (let i = 0; i < contributors; i++) {
    for (let j = i + 1; j < contributors; j++) {
      const square = sums[i * rows + i]! + sums[j * rows + j]! - 2 * sums[i * rows + j]!;
      // The squares of float64 tensors may overflow: such an update is infinitely far from all others.
      const distance = Number.isFinite(square) ? Math.max(0, square) : Number.POSITIVE_INFINITY;
      squares[i * contributors + j] = distance;
      squares[j * contributors + i] = distance;
    }
  }
  return { contributors, squares };
}

export function distancesScratchBytes(contributors: number): number {
  const { end } = placesIn(0, contributors);
  return end;
}

function placesIn(scratch: number, contributors: number) {
  const rows = Math.ceil(contributors / 4) * 4;
  const fitting = Math.floor(ROWS_BYTES / 8 / rows / LANES) * LANES;
  const tile = Math.min(MAX_TILE_ELEMENTS, Math.max(MIN_TILE_ELEMENTS, fitting));
  const sumsAt = scratch + rows * tile * 8;
  return { rows, tile, rowsAt: scratch, sumsAt, end: sumsAt + rows * rows * 8 };
}
