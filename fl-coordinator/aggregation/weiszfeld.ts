import type { PairMatrix } from './distances';

/** Convergence is linear and takes some tens of iterations; this bounds what data can cost. */
const MAX_ITERATIONS = 300;
/** Done when an iteration moves by less than this share of the median distance to the updates. */
const TOLERANCE = 1e-9;

/**
 * The smoothed geometric median of the updates, as weights of a mean: each iteration weighs an update by one over its distance
 * to the mean so far, or over `smoothing` where it is nearer than that (Pillutla 2019, algorithm 2: RFA, with equal weights of
 * the sites). It starts at the mean of the half that is closest together, so that a far update costs no iterations.
 *
 * Each iterate z = sum of w_j u_j lies among the updates, so its distance to one follows from inner products:
 * |z - u_i|^2 = u_i.u_i - 2 sum_j w_j u_i.u_j + sum_jk w_j w_k u_j.u_k. One pass over the data is enough, however many
 * iterations. Products relative to the model keep their digits also where a hostile update is 1e30 away, since its weight is
 * as small as it is far. An update whose square is infinite counts nothing.
 *
 * @param products as `productsOf` @returns weights that sum to 1, rounding aside
 */
export function geometricMedianWeights(products: PairMatrix, smoothing: number): number[] {
  const all = [...Array(products.contributors).keys()];
  const counted = all.filter((i) => Number.isFinite(products.at(i, i)));
  const ofEach = (weights: readonly number[], i: number): number =>
    counted.reduce((sum, j) => sum + weights[j]! * products.at(i, j), 0);
  const squareOf = (weights: readonly number[]): number =>
    Math.max(
      0,
      counted.reduce((sum, i) => sum + weights[i]! * ofEach(weights, i), 0),
    );
  let weights = closestHalf(products, counted);
  for (let iteration = 0; iteration < MAX_ITERATIONS; iteration++) {
    const own = squareOf(weights);
    const lengths = counted.map((i) => Math.sqrt(Math.max(0, products.at(i, i) - 2 * ofEach(weights, i) + own)));
    const pulls = lengths.map((length) => 1 / Math.max(smoothing, length));
    const sum = pulls.reduce((a, b) => a + b, 0);
    const next = all.map(() => 0);
    for (const [at, i] of counted.entries()) next[i] = pulls[at]! / sum;
    const moved = Math.sqrt(squareOf(next.map((weight, i) => weight - weights[i]!)));
    weights = next;
    if (moved <= TOLERANCE * middleOf(lengths)) break;
  }
  return weights;
}

/** Equal weights for the update whose nearest half is nearest, and for that half. */
function closestHalf(products: PairMatrix, counted: readonly number[]): number[] {
  const half = Math.floor(counted.length / 2) + 1;
  let best: readonly number[] = [];
  let bestReach = Number.POSITIVE_INFINITY;
  for (const i of counted) {
    const square = (j: number): number => products.at(i, i) + products.at(j, j) - 2 * products.at(i, j);
    const nearest = [...counted].sort((a, b) => square(a) - square(b) || a - b).slice(0, half);
    const reach = square(nearest.at(-1)!);
    if (reach < bestReach || best.length === 0) [best, bestReach] = [nearest, reach];
  }
  return Array.from({ length: products.contributors }, (_, i) => (best.includes(i) ? 1 / best.length : 0));
}

function middleOf(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
