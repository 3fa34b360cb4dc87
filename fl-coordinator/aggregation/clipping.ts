import { type Scan, scanBlocks } from './scan';

/**
 * Norm clipping: an update further than `bound` from the global model (Euclidean distance over all combined tensors) is drawn
 * towards it until it is that far away: model + (update - model) x bound / distance. Distances are sums of float64 squares in
 * model order.
 * @returns what is left of each contributor's distance, 0..1; 1 for those within the bound
 */
export async function clipFactors(scan: Scan, contributors: number, bound: number): Promise<number[]> {
  const { memory } = scan;
  const all = [...Array(contributors).keys()];
  const squares = all.map(() => 0);
  await scanBlocks(scan, { contributors: all, factors: all.map(() => 1), model: true }, (set, dtype, n) => {
    const { squaredDistance32, squaredDistance64 } = memory.kernels;
    const squaredDistance = dtype === 'F64' ? squaredDistance64 : squaredDistance32;
    for (const i of all) squares[i]! += squaredDistance(memory.columnAt(set, i), memory.modelAt(set), n);
  });
  return squares.map((square) => Math.min(1, bound / Math.sqrt(square)));
}
