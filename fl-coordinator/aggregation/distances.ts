import { LANES } from './kernels';
import { type Scan, scanBlocks } from './scan';

/** Rows of one tile that stay in the second-level cache. */
const ROWS_BYTES = 256 << 10;
const MAX_TILE_ELEMENTS = 2048;
const MIN_TILE_ELEMENTS = 16;

/** A number for each pair of contributors. */
export class PairMatrix {
  constructor(
    readonly contributors: number,
    private readonly values: Float64Array,
  ) {}

  at(i: number, j: number): number {
    return this.values[i * this.contributors + j]!;
  }
}

/**
 * Inner products of all updates relative to the global model, over all combined tensors: contributors squared numbers, in one
 * pass and without two models in memory. Products are summed in float64 in model order, and the sum of a pair depends on these
 * two updates alone.
 */
export async function productsOf(scan: Scan, factors: readonly number[]): Promise<PairMatrix> {
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
  const upper = (i: number, j: number): number => sums[Math.min(i, j) * rows + Math.max(i, j)]!;
  return pairMatrix(contributors, upper);
}

/**
 * Squared Euclidean distances: |a - b|^2 = |a|^2 + |b|^2 - 2 a.b. Updates lie near the model that they are relative to, so
 * little is lost to cancellation. Infinite when no number is: squares of float64 tensors may overflow.
 */
export function distancesOf(products: PairMatrix): PairMatrix {
  return pairMatrix(products.contributors, (i, j) => {
    if (i === j) return 0;
    const square = products.at(i, i) + products.at(j, j) - 2 * products.at(i, j);
    return Number.isFinite(square) ? Math.max(0, square) : Number.POSITIVE_INFINITY;
  });
}

export function pairMatrix(contributors: number, of: (i: number, j: number) => number): PairMatrix {
  const values = new Float64Array(contributors * contributors);
  for (let i = 0; i < contributors; i++) {
    for (let j = 0; j < contributors; j++) values[i * contributors + j] = of(i, j);
  }
  return new PairMatrix(contributors, values);
}

/** Memory beside the blocks for {@link productsOf}. Bytes. */
export function productsScratchBytes(contributors: number): number {
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
