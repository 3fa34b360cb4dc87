import type { Combiner } from '../../federation/strategy';
import { type Combination, median, plainMean, trimmedMean, weightedMean } from './combination';
import { distancesScratchBytes, squaredDistances } from './distances';
import { bulyanSelection, krum, multiKrum } from './krum';
import type { Scan } from './scan';
import { sortingNetwork } from './sorting-network';

/**
 * What a combiner of the plan comes down to for the contributors of a round, in site order. Combiners that compare whole
 * updates scan all blocks first. @param clipFactors see `Reading.factors`: what is compared is what will be combined
 */
export async function combinationOf(
  combiner: Combiner,
  contributions: readonly { readonly weight: number }[],
  scan: Scan,
  clipFactors: readonly number[],
): Promise<Combination> {
  const { length } = contributions;
  switch (combiner.kind) {
    case 'weighted-mean':
      return weightedMean(contributions.map(({ weight }) => weight));
    case 'median':
      return median(length);
    case 'trimmed-mean':
      return trimmedMean(length, combiner.beta);
    case 'krum':
      return plainMean([krum(await squaredDistances(scan, clipFactors), combiner.f)]);
    case 'multikrum':
      return plainMean(multiKrum(await squaredDistances(scan, clipFactors), combiner.f, combiner.m));
    case 'bulyan': {
      const contributors = bulyanSelection(await squaredDistances(scan, clipFactors), combiner.f);
      return { kind: 'closest', contributors, keep: contributors.length - 2 * combiner.f };
    }
  }
}

/** Memory beside the blocks. Bytes. */
export function scratchBytes(combiner: Combiner, contributors: number): number {
  switch (combiner.kind) {
    case 'weighted-mean':
      return 0;
    case 'median':
    case 'trimmed-mean':
      return networkBytes(contributors);
    case 'krum':
    case 'multikrum':
      return distancesScratchBytes(contributors);
    case 'bulyan':
      // Not at once: the distances are known when sorting begins.
      return Math.max(distancesScratchBytes(contributors), networkBytes(contributors));
  }
}

function networkBytes(contributors: number): number {
  return sortingNetwork(contributors).length * 8;
}
