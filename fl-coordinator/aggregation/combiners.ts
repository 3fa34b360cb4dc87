import type { Combiner } from '../../federation/strategy';
import { type Combination, median, trimmedMean, weightedMean } from './combination';
import { sortingNetwork } from './sorting-network';

/** What a combiner of the plan comes down to for the contributors of a round, in site order. */
export function combinationOf(combiner: Combiner, contributions: readonly { readonly weight: number }[]): Combination {
  const { length } = contributions;
  switch (combiner.kind) {
    case 'weighted-mean':
      return weightedMean(contributions.map(({ weight }) => weight));
    case 'median':
      return median(length);
    case 'trimmed-mean':
      return trimmedMean(length, combiner.beta);
  }
}

/** Memory beside the blocks. Bytes. */
export function scratchBytes(combiner: Combiner, contributors: number): number {
  switch (combiner.kind) {
    case 'weighted-mean':
      return 0;
    default:
      return sortingNetwork(contributors).length * 8;
  }
}
