import { ClaraError } from '../../base/errors';
import type { Contribution } from './contribution';
import { type Comparator, partialNetwork, sortingNetwork } from './sorting-network';

/** How the columns of a block become one: what all combiners come down to when their passes over the data are done. */
export type Combination =
  | {
      /** (sum of weight x column + modelWeight x model) / total, in the order of the columns. */
      readonly kind: 'mean';
      readonly contributors: readonly number[];
      readonly weights: readonly number[];
      readonly modelWeight: number;
      readonly total: number;
    }
  | {
      /** Coordinate by coordinate: the mean of the sorted values from place `low` to `up`, both included. */
      readonly kind: 'middle';
      readonly contributors: readonly number[];
      readonly low: number;
      readonly up: number;
    }
  | {
      /** Coordinate by coordinate: the mean of those `keep` values that are closest to the median. */
      readonly kind: 'closest';
      readonly contributors: readonly number[];
      readonly keep: number;
    };

/** The mean that McMahan 2017, algorithm 1 means. */
export function weightedMean(weights: readonly number[]): Combination {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return { kind: 'mean', contributors: [...weights.keys()], weights, modelWeight: 0, total };
}

/**
 * FedNova (Wang 2020): x + tau sum p_i (u_i - x) / tau_i with tau = sum p_i tau_i. Written as a mean, in which the model x has
 * what the updates leave of the weights. @throws ClaraError `invalid-input` naming every site whose steps are not known
 */
export function normalisedMean(contributions: readonly Pick<Contribution, 'site' | 'weight' | 'steps'>[]): Combination {
  const faults = contributions
    .filter(({ steps = 0 }) => !(steps >= 1))
    .map(({ site, steps = 0 }) => ({ path: site, value: `${steps} steps`, rule: 'must have taken at least one step' }));
  if (faults.length > 0) throw ClaraError.ofFaults('the contributions of the round', faults);
  const total = contributions.reduce((sum, { weight }) => sum + weight, 0);
  const meanSteps = contributions.reduce((sum, { weight, steps }) => sum + weight * steps!, 0) / total;
  const weights = contributions.map(({ weight, steps }) => weight * (meanSteps / steps!));
  const modelWeight = total - weights.reduce((sum, weight) => sum + weight, 0);
  return { kind: 'mean', contributors: [...weights.keys()], weights, modelWeight, total };
}

/** The mean of some updates, each counting once. */
export function plainMean(contributors: readonly number[]): Combination {
  const weights = contributors.map(() => 1);
  return { kind: 'mean', contributors, weights, modelWeight: 0, total: weights.length };
}

/** Leaves out the `trimmed` smallest and as many largest values of each coordinate (Yin 2018, definition 2). */
export function trimmedMean(contributors: number, trimmed: number): Combination {
  return {
    kind: 'middle',
    contributors: [...Array(contributors).keys()],
    low: trimmed,
    up: contributors - 1 - trimmed,
  };
}

/** The middle value of each coordinate, or the mean of the two in the middle (Yin 2018, definition 1). */
export function median(contributors: number): Combination {
  return trimmedMean(contributors, Math.floor((contributors - 1) / 2));
}

/** Comparators that a combination needs. */
export function networkOf(combination: Combination): Comparator[] {
  switch (combination.kind) {
    case 'mean':
      return [];
    case 'middle':
      return partialNetwork(combination.contributors.length, combination.low, combination.up);
    case 'closest':
      return sortingNetwork(combination.contributors.length);
  }
}
