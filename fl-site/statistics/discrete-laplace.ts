import { randomInt } from 'node:crypto';

/** A whole number from 0 to below `limit`, each as likely; `limit` is at most 2^48. */
export type RandomBelow = (limit: number) => number;

const secure: RandomBelow = (limit) => randomInt(limit);

/**
 * A draw from the discrete Laplace distribution with scale t/s: P(x) is proportional to exp(-|x| s / t). Exact, in whole numbers
 * only, as samplers in floating point leak through their gaps (Mironov 2012). Source: Canonne, Kamath & Steinke 2020, "The
 * discrete Gaussian for differential privacy", algorithm 2.
 *
 * @param t, s whole numbers from 1; t at most 2^36
 */
export function discreteLaplace(t: number, s: number, below: RandomBelow = secure): number {
  for (;;) {
    const u = below(t);
    if (!bernoulliExp(u, t, below)) continue;
    let v = 0;
    while (bernoulliExp(1, 1, below)) v++;
    const magnitude = Math.floor((u + t * v) / s);
    const negative = below(2) === 1;
    if (negative && magnitude === 0) continue;
    return negative ? -magnitude : magnitude;
  }
}

/** True with probability exp(-p/q), for 0 <= p <= q (algorithm 1 of the same paper). */
function bernoulliExp(p: number, q: number, below: RandomBelow): boolean {
  for (let k = 1; ; k++) {
    if (below(q * k) >= p) return k % 2 === 1;
  }
}
