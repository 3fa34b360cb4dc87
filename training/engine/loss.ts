type Reals = Float32Array | Float64Array;

/** Keeps the Dice term defined when a patch holds no organ and the network sees none. */
const SMOOTHING = 1;

/**
 * Soft Dice (Milletari et al. 2016, with plain sums) plus the mean binary cross-entropy, of one patch.
 *
 * @param logits one a voxel
 * @param targets share of each voxel that the organ fills, 0..1
 * @param weight factor on the gradients, 1 / patches in a step
 * @param gradients receives `weight` times the derivative of the loss by each logit
 * @returns the loss, without `weight`
 */
export function diceAndCrossEntropy(logits: Reals, targets: Reals, weight: number, gradients: Reals): number {
  let overlap = 0;
  let total = 0;
  let crossEntropy = 0;
  for (let v = 0; v < logits.length; v++) {
    const logit = logits[v];
    const target = targets[v];
    // exp of a number that is never positive cannot overflow.
    const decay = Math.exp(-Math.abs(logit));
    const probability = logit >= 0 ? 1 / (1 + decay) : decay / (1 + decay);
    gradients[v] = probability;
    overlap += probability * target;
    total += probability + target;
    crossEntropy += Math.log1p(decay) + Math.max(logit, 0) - target * logit;
  }
  const numerator = 2 * overlap + SMOOTHING;
  const denominator = total + SMOOTHING;
  for (let v = 0; v < logits.length; v++) {
    const probability = gradients[v];
    const target = targets[v];
    const byProbability = (numerator - 2 * target * denominator) / (denominator * denominator);
    const dicePart = byProbability * probability * (1 - probability);
    gradients[v] = weight * (dicePart + (probability - target) / logits.length);
  }
  return 1 - numerator / denominator + crossEntropy / logits.length;
}
