import type { Combiner } from '../../federation/strategy';
import { type Combination, median, normalisedMean, plainMean, trimmedMean, weightedMean } from './combination';
import type { Contribution } from './contribution';
import { distancesOf, type PairMatrix, productsOf, productsScratchBytes } from './distances';
import { bulyanSelection, krum, multiKrum } from './krum';
import type { Scan } from './scan';
import { sortingNetwork } from './sorting-network';
import { geometricMedianWeights } from './weiszfeld';

/**
 * What a combiner of the plan comes down to for the contributors of a round, in site order. Combiners that compare whole
 * updates scan all blocks first. @param clipFactors see `Reading.factors`: what is compared is what will be combined
 */
export async function combinationOf(
  combiner: Combiner,
  contributions: readonly Contribution[],
  scan: Scan,
  clipFactors: readonly number[],
): Promise<Combination> {
  const { length } = contributions;
  const distances = async (): Promise<PairMatrix> => distancesOf(await productsOf(scan, clipFactors));
  switch (combiner.kind) {
    case 'weighted-mean':
      return weightedMean(contributions.map(({ weight }) => weight));
    case 'normalised-mean':
      return normalisedMean(contributions);
    case 'median':
      return median(length);
    case 'trimmed-mean':
      return trimmedMean(length, combiner.beta);
    case 'krum':
      return plainMean([krum(await distances(), combiner.f)]);
    case 'multikrum':
      return plainMean(multiKrum(await distances(), combiner.f, combiner.m));
    case 'geometric-median':
      return weightedMean(geometricMedianWeights(await productsOf(scan, clipFactors), combiner.smoothing));
    case 'bulyan': {
      const contributors = bulyanSelection(await distances(), combiner.f);
      return { kind: 'closest', contributors, keep: contributors.length - 2 * combiner.f };
    }
  }
}

/** Memory beside the blocks. Bytes. */
export function scratchBytes(combiner: Combiner, contributors: number): number {
  switch (combiner.kind) {
    case 'weighted-mean':
    case 'normalised-mean':
      return 0;
    case 'median':
    case 'trimmed-mean':
      return networkBytes(contributors);
    case 'krum':
    case 'multikrum':
    case 'geometric-median':
      return productsScratchBytes(contributors);
    case 'bulyan':
      // Not at once: the distances are known when sorting begins.
      return Math.max(productsScratchBytes(contributors), networkBytes(contributors));
  }
}

function networkBytes(contributors: number): number {
  return sortingNetwork(contributors).length * 8;
}
