import type { PairMatrix } from './distances';

/**
 * Choosing updates by how close their neighbours are. Of n updates, at most f of them hostile, an update's score is the sum of
 * its squared distances to the n - f - 2 nearest others (Blanchard 2017, section 4). Equal scores go in site order. All
 * distances are squared.
 */

/** The update with the best score. */
export function krum(distances: PairMatrix, f: number): number {
  return multiKrum(distances, f, 1)[0]!;
}

/** The `m` updates with the best scores (Blanchard 2017, section 5.3), in site order. */
export function multiKrum(distances: PairMatrix, f: number, m: number): number[] {
  const candidates = new Candidates(distances);
  const scores = candidates.scores(f);
  const ranked = [...scores.keys()].sort((a, b) => compare(scores[a]!, scores[b]!) || a - b);
  return ranked.slice(0, m).sort((a, b) => a - b);
}

/**
 * The n - 2 f updates that Bulyan goes on with, in site order: again and again the best by Krum among those that are left (El
 * Mhamdi 2018, section 4). At the end so few are left that Krum would count no neighbour; it counts the nearest then.
 */
export function bulyanSelection(distances: PairMatrix, f: number): number[] {
  const candidates = new Candidates(distances);
  const selected: number[] = [];
  while (selected.length < distances.contributors - 2 * f) {
    const scores = candidates.scores(f);
    let best: number | undefined;
    for (const i of candidates.left) if (best === undefined || scores[i]! < scores[best]!) best = i;
    selected.push(best!);
    candidates.left.delete(best!);
  }
  return selected.sort((a, b) => a - b);
}

class Candidates {
  readonly left: Set<number>;
  /** Of each update, the others from near to far. */
  readonly #neighbours: readonly (readonly number[])[];

  constructor(private readonly distances: PairMatrix) {
    const all = [...Array(distances.contributors).keys()];
    this.left = new Set(all);
    this.#neighbours = all.map((i) =>
      all.filter((j) => j !== i).sort((a, b) => compare(distances.at(i, a), distances.at(i, b)) || a - b),
    );
  }

  /** By update; of those that are left. */
  scores(f: number): number[] {
    const counted = Math.max(1, this.left.size - f - 2);
    const scores: number[] = [];
    for (const i of this.left) {
      let score = 0;
      let found = 0;
      for (const j of this.#neighbours[i]!) {
        if (!this.left.has(j)) continue;
        score += this.distances.at(i, j);
        if (++found === counted) break;
      }
      scores[i] = score;
    }
    return scores;
  }
}

/** Infinite distances are equal: their difference is no number. */
function compare(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
