import type { Shape3, Vector3 } from '../imaging/volume';

/**
 * The random walker with priors (Grady, "Random walks for image segmentation", PAMI 28, 2006; "Multilabel random walker image
 * segmentation using prior models", CVPR 2005): the probability u of each voxel to belong to the object minimises
 *
 *   sum over neighbours w_xy (u_x - u_y)^2  +  sum over voxels a_x (u_x - p_x)^2
 *
 * with w_xy small across edges and a_x the confidence in the voxel's own belief p_x. A seed is a voxel with an overwhelming
 * a_x. The matrix of the normal equations is an M-matrix: more belief in the object anywhere makes no u smaller.
 */
export interface RandomWalk {
  readonly shape: Shape3;
  /** Weight between a voxel and the next one along i, j, k; 0 at the last voxel of a row. */
  readonly weights: readonly [Float64Array, Float64Array, Float64Array];
  /** a_x, at least somewhere more than 0. */
  readonly confidence: Float64Array;
  /** a_x times p_x. */
  readonly belief: Float64Array;
}

/** Confidence of a seed, against weights of at most 1. */
export const SEED = 1e3;
const TOLERANCE = 1e-9;
const MOST_ITERATIONS = 400;
/** Relaxed modified incomplete Cholesky (Axelsson and Lindskog 1986); 1 would be unstable beside seeds. */
const RELAXATION = 0.97;

export interface EdgeScale {
  /** Difference of neighbours, HU, that is noise. */
  readonly noise: number;
  readonly sharpness: number;
  /** What remains of a weight across the sharpest edge. */
  readonly leak: number;
}

/** w = (exp(-sharpness d^2 / 2) + leak) (h_min / h)^2, with d the difference in units of noise and h the voxel's length. */
export function edgeWeights(
  data: Float32Array,
  shape: Shape3,
  spacing: Vector3,
  { noise, sharpness, leak }: EdgeScale,
): RandomWalk['weights'] {
  const finest = Math.min(...spacing);
  let stride = 1;
  const along = (axis: number): Float64Array => {
    const weights = new Float64Array(data.length);
    const scale = (finest / spacing[axis]) ** 2;
    for (let at = 0; at + stride < data.length; at += 1) {
      if (Math.floor(at / stride) % shape[axis] === shape[axis] - 1) continue;
      const step = (data[at + stride] - data[at]) / noise;
      weights[at] = (Math.exp((-sharpness * step * step) / 2) + leak) * scale;
    }
    stride *= shape[axis];
    return weights;
  };
  return [along(0), along(1), along(2)];
}

/**
 * u for every voxel. Conjugate gradients preconditioned by an incomplete factorisation; the same input gives the same bits.
 *
 * @param tolerance remaining error relative to the first, in the norm of the preconditioner
 */
export function solveRandomWalk(
  { shape, weights, confidence, belief }: RandomWalk,
  tolerance: number = TOLERANCE,
): Float64Array {
  const count = confidence.length;
  const [sj, sk] = [shape[0], shape[0] * shape[1]];
  // A plane of zeros before and after spares every test for the border.
  const padded = (values: Float64Array): Float64Array => {
    const result = new Float64Array(count + 2 * sk);
    result.set(values, sk);
    return result;
  };
  const [wi, wj, wk] = weights.map(padded);
  const from = sk;
  const to = sk + count;
  const diagonal = new Float64Array(count + 2 * sk);
  const pivot = new Float64Array(count + 2 * sk);
  for (let x = from; x < to; x += 1) {
    diagonal[x] = confidence[x - sk] + wi[x] + wj[x] + wk[x] + wi[x - 1] + wj[x - sj] + wk[x - sk];
    const [a, b, c] = [wi[x - 1], wj[x - sj], wk[x - sk]];
    const left =
      a * (a + RELAXATION * (wj[x - 1] + wk[x - 1])) * pivot[x - 1] +
      b * (b + RELAXATION * (wi[x - sj] + wk[x - sj])) * pivot[x - sj] +
      c * (c + RELAXATION * (wi[x - sk] + wj[x - sk])) * pivot[x - sk];
    pivot[x] = 1 / Math.max(diagonal[x] - left, 0.1 * diagonal[x]);
  }
  const residual = padded(belief);
  const step = new Float64Array(count + 2 * sk);
  const image = new Float64Array(count + 2 * sk);
  const direction = new Float64Array(count + 2 * sk);
  const result = new Float64Array(count);

  const multiply = (): number => {
    let energy = 0;
    for (let x = from; x < to; x += 1) {
      const value =
        diagonal[x] * direction[x] -
        wi[x] * direction[x + 1] -
        wi[x - 1] * direction[x - 1] -
        wj[x] * direction[x + sj] -
        wj[x - sj] * direction[x - sj] -
        wk[x] * direction[x + sk] -
        wk[x - sk] * direction[x - sk];
      image[x] = value;
      energy += value * direction[x];
    }
    return energy;
  };
  const precondition = (): number => {
    for (let x = from; x < to; x += 1) {
      step[x] =
        (residual[x] + wi[x - 1] * step[x - 1] + wj[x - sj] * step[x - sj] + wk[x - sk] * step[x - sk]) * pivot[x];
    }
    let norm = 0;
    for (let x = to - 1; x >= from; x -= 1) {
      step[x] += (wi[x] * step[x + 1] + wj[x] * step[x + sj] + wk[x] * step[x + sk]) * pivot[x];
      norm += step[x] * residual[x];
    }
    return norm;
  };

  let norm = precondition();
  const enough = tolerance * tolerance * norm;
  direction.set(step);
  for (let iteration = 0; iteration < MOST_ITERATIONS && norm > enough; iteration += 1) {
    const length = norm / multiply();
    for (let x = from; x < to; x += 1) {
      result[x - sk] += length * direction[x];
      residual[x] -= length * image[x];
    }
    const before = norm;
    norm = precondition();
    const turn = norm / before;
    for (let x = from; x < to; x += 1) direction[x] = step[x] + turn * direction[x];
  }
  return result;
}
