import type { ServerOptimiser } from '../../../federation/strategy';

/**
 * What a round means, written down once more in plain float64, tensor by tensor, from the papers: McMahan 2017 (algorithm 1),
 * Yin 2018 (definition 1), Hsu 2019 (section 3), Reddi 2021 (algorithm 2). Knows no blocks, files or kernels.
 */

export interface Round {
  readonly model: readonly number[];
  /** Per site. */
  readonly updates: readonly (readonly number[])[];
  readonly weights: readonly number[];
  readonly combiner: 'weighted-mean' | 'median';
  readonly optimiser: ServerOptimiser;
  readonly moments: Moments;
}

export interface Moments {
  readonly first: readonly number[];
  readonly second: readonly number[];
}

export function roundByHand(round: Round): { readonly model: number[]; readonly moments: Moments } {
  const { model, updates, weights, optimiser } = round;
  const first = [...round.moments.first];
  const second = [...round.moments.second];
  const step = (x: number, combined: number, i: number): number => {
    const delta = combined - x;
    switch (optimiser.kind) {
      case 'replace':
        return combined;
      case 'momentum':
        first[i] = optimiser.beta * first[i]! + delta;
        return x + optimiser.lr * first[i]!;
      default:
        first[i] = optimiser.beta1 * first[i]! + (1 - optimiser.beta1) * delta;
        second[i] = secondMoment(optimiser, second[i]!, delta);
        return x + (optimiser.lr * first[i]!) / (Math.sqrt(second[i]!) + optimiser.tau);
    }
  };
  const next = model.map((x, i) => {
    const column = updates.map((update) => update[i]!);
    return step(x, round.combiner === 'median' ? medianOf(column) : meanOf(column, weights), i);
  });
  return { model: next, moments: { first, second } };
}

function secondMoment(optimiser: ServerOptimiser, v: number, delta: number): number {
  switch (optimiser.kind) {
    case 'adagrad':
      return v + delta ** 2;
    case 'adam':
      return optimiser.beta2 * v + (1 - optimiser.beta2) * delta ** 2;
    case 'yogi':
      return v - (1 - optimiser.beta2) * delta ** 2 * Math.sign(v - delta ** 2);
    default:
      return v;
  }
}

export function meanOf(values: readonly number[], weights: readonly number[]): number {
  const total = weights.reduce((a, b) => a + b, 0);
  return values.reduce((sum, value, i) => sum + value * weights[i]!, 0) / total;
}

/** Wang 2020, equation 11 for local SGD: the mean direction of a step, taken as often as the sites do on average. */
export function fedNovaByHand(
  model: readonly number[],
  updates: Vectors,
  weights: readonly number[],
  steps: readonly number[],
) {
  return model.map((x, i) => {
    const direction = meanOf(
      updates.map((update, site) => (update[i]! - x) / steps[site]!),
      weights,
    );
    return x + meanOf(steps, weights) * direction;
  });
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(half)]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** Yin 2018, definition 2: without the `beta` smallest and the `beta` largest. */
export function trimmedMeanOf(values: readonly number[], beta: number): number {
  const kept = [...values].sort((a, b) => a - b).slice(beta, values.length - beta);
  return kept.reduce((sum, value) => sum + value, 0) / kept.length;
}

export function clippedByHand(model: readonly number[], update: readonly number[], bound: number): number[] {
  const length = Math.sqrt(update.reduce((sum, value, i) => sum + (value - model[i]!) ** 2, 0));
  const left = Math.min(1, bound / length);
  return left === 1 ? [...update] : update.map((value, i) => model[i]! + left * (value - model[i]!));
}

type Vectors = readonly (readonly number[])[];

const squaredDistance = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);

/** Blanchard 2017, section 4: for each of `among`, the squared distances to its `among - f - 2` nearest, at least one. */
function krumScores(updates: Vectors, among: readonly number[], f: number): number[] {
  return among.map((i) => {
    const others = among.filter((j) => j !== i).map((j) => squaredDistance(updates[i]!, updates[j]!));
    const nearest = others.sort((a, b) => a - b).slice(0, Math.max(1, among.length - f - 2));
    return nearest.reduce((a, b) => a + b, 0);
  });
}

/** The places of the `m` best by score, in order. */
export function multiKrumByHand(updates: Vectors, f: number, m: number): number[] {
  const scores = krumScores(updates, [...updates.keys()], f);
  const best = [...scores].sort((a, b) => a - b).slice(0, m);
  return [...updates.keys()].filter((i) => best.includes(scores[i]!));
}

/** El Mhamdi 2018, algorithm 1, coordinate by coordinate in its second half. */
export function bulyanByHand(updates: Vectors, f: number): number[] {
  let left = [...updates.keys()];
  const selected: (readonly number[])[] = [];
  while (selected.length < updates.length - 2 * f) {
    const scores = krumScores(updates, left, f);
    const best = left[scores.indexOf(Math.min(...scores))]!;
    selected.push(updates[best]!);
    left = left.filter((i) => i !== best);
  }
  return updates[0]!.map((_, i) => {
    const column = selected.map((update) => update[i]!);
    const middle = medianOf(column);
    const closest = column
      .sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle))
      .slice(0, selected.length - 2 * f);
    return closest.reduce((a, b) => a + b, 0) / closest.length;
  });
}

/** What the geometric median makes least (Pillutla 2019, equation 1, with equal weights). */
export function sumOfDistances(point: readonly number[], updates: Vectors): number {
  return updates.reduce((sum, update) => sum + Math.sqrt(squaredDistance(point, update)), 0);
}

/** Weiszfeld's algorithm on whole vectors, from the mean, until nothing moves. */
export function geometricMedianByHand(updates: Vectors, smoothing: number): number[] {
  const ones = updates.map(() => 1);
  let point = updates[0]!.map((_, i) =>
    meanOf(
      updates.map((update) => update[i]!),
      ones,
    ),
  );
  for (let iteration = 0; iteration < 500; iteration++) {
    const pulls = updates.map((update) => 1 / Math.max(smoothing, Math.sqrt(squaredDistance(point, update))));
    point = point.map((_, i) =>
      meanOf(
        updates.map((update) => update[i]!),
        pulls,
      ),
    );
  }
  return point;
}
