import type { RandomSource } from '../base/random';

/** Gamma(shape, 1), by Marsaglia and Tsang (2000); shapes below 1 by their section 6. */
function gamma(random: RandomSource, shape: number): number {
  if (shape < 1) return gamma(random, shape + 1) * (1 - random.uniform()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}

/**
 * Shares of `kinds` that sum to 1, from the symmetric Dirichlet distribution: the way in which data are usually divided unevenly
 * (Hsu 2019, section 4.1). The smaller alpha, the fewer kinds have most of it; absent, all have the same.
 */
export function dirichlet(random: RandomSource, kinds: number, alpha: number | undefined): number[] {
  if (alpha === undefined) return Array.from({ length: kinds }, () => 1 / kinds);
  const draws = Array.from({ length: kinds }, () => gamma(random, alpha));
  const sum = draws.reduce((total, draw) => total + draw, 0);
  // All of them may underflow when alpha is tiny: then one kind has everything, as in the limit.
  if (sum === 0) {
    const only = random.integer(kinds);
    return draws.map((_, index) => (index === only ? 1 : 0));
  }
  return draws.map((draw) => draw / sum);
}

/** The place of a draw in cumulated shares. */
export function drawKind(random: RandomSource, shares: readonly number[]): number {
  let left = random.uniform();
  for (const [kind, share] of shares.entries()) {
    left -= share;
    if (left < 0) return kind;
  }
  return shares.length - 1;
}
