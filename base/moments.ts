/** Count, mean and sum of squared differences from the mean: what variances are merged from. */
export interface Moments {
  readonly count: number;
  readonly mean: number;
  readonly m2: number;
}

export const NO_MOMENTS: Moments = { count: 0, mean: 0, m2: 0 };

/** The moments of both samples together (Chan, Golub & LeVeque 1979, "Updating formulae", equation 2.1). */
export function mergeMoments(a: Moments, b: Moments): Moments {
  const count = a.count + b.count;
  if (b.count === 0) return a;
  if (a.count === 0) return b;
  const delta = b.mean - a.mean;
  const mean = a.mean + (delta * b.count) / count;
  return { count, mean, m2: a.m2 + b.m2 + (delta * delta * a.count * b.count) / count };
}

/** Of the population: divided by the count. 0 without values. */
export function varianceOf({ count, m2 }: Moments): number {
  return count === 0 ? 0 : m2 / count;
}
