/** Successive halving: many short trials, of which the best go on to longer ones. */

export interface Rung {
  /** How many candidates are tried. */
  readonly trials: number;
  readonly rounds: number;
}

export interface Halving {
  readonly candidates: number;
  /** One in so many goes on. */
  readonly eta: number;
  readonly minRounds: number;
  readonly maxRounds: number;
}

/**
 * Rungs until one in so many is left (Jamieson and Talwalkar 2016), spaced as those of a bracket of Hyperband (Li 2018,
 * algorithm 1): s + 1 of them, where s is the largest for which the first rung has at least `minRounds` and the last but one has
 * a choice to make. Rung i tries floor(n / eta^i) candidates, but never none, for floor(R / eta^(s - i)) rounds; the last one
 * has all R rounds.
 */
export function rungsOf({ candidates, eta, minRounds, maxRounds }: Halving): Rung[] {
  let steps = 0;
  while (minRounds * eta ** (steps + 1) <= maxRounds && Math.floor(candidates / eta ** steps) >= 2) steps++;
  return Array.from({ length: steps + 1 }, (_, rung) => ({
    trials: Math.max(Math.floor(candidates / eta ** rung), 1),
    rounds: Math.floor(maxRounds / eta ** (steps - rung)),
  }));
}

/** Of all trials together; each starts again. */
export function totalRounds(rungs: readonly Rung[]): number {
  return rungs.reduce((sum, { trials, rounds }) => sum + trials * rounds, 0);
}

/** The most candidates whose rungs fit into so many rounds; none fits when it is 0. */
export function candidatesWithin(rounds: number, halving: Halving): number {
  for (let candidates = halving.candidates; candidates > 0; candidates--) {
    if (totalRounds(rungsOf({ ...halving, candidates })) <= rounds) return candidates;
  }
  return 0;
}
