import { type Moments, mergeMoments, NO_MOMENTS } from '../../base/moments';
import type { ReleasedVariable, SiteStatistics } from '../../federation/statistics';
import type { RawStatistics, RawVariable } from '../../federation/trainer-contract';
import { SHARE_UNITS } from '../../imaging/histogram';
import type { SiteConfiguration } from '../configuration';
import { discreteLaplace } from './discrete-laplace';

/**
 * What the site lets go of what its trainer counted. The site's own policy decides: neither the plan nor the trainer can make it
 * tell more.
 *
 * Without noise, a site with fewer cases than `minimumCount` tells nothing, and so does a bin that fewer cases reach; what is told
 * beside the histogram (mean, variance) is of the bins that are told, so nothing can be had back by subtraction.
 *
 * With noise, what is told is a histogram in which each case weighs 1, with discrete Laplace noise in every place. One case more
 * or less changes all places of a variable by 1 in sum, so the scale is 1 / epsilon a variable, and the variables share
 * `noiseEpsilon`. Nothing exact goes beside it: not even the number of cases.
 */
export function release(
  raw: RawStatistics,
  policy: SiteConfiguration['statistics'],
  laplace: (t: number, s: number) => number = discreteLaplace,
): SiteStatistics {
  const { minimumCount, noiseEpsilon } = policy;
  if (raw.cases < minimumCount) {
    return { suppressed: `the site has fewer than ${minimumCount} cases (statistics.minimumCount)`, variables: [] };
  }
  if (noiseEpsilon === undefined) {
    return { cases: raw.cases, variables: raw.variables.map((variable) => suppressed(variable, minimumCount)) };
  }
  const { t, s } = scaleOf(noiseEpsilon, raw.variables.length);
  const variables = raw.variables.map(({ name, unit, low, high, shares }): ReleasedVariable => {
    return { name, unit, low, high, shares: shares.map((share) => share + laplace(t, s)), suppressedBins: 0 };
  });
  return { epsilon: noiseEpsilon, variables };
}

/** Epsilon is rounded down to a thousandth, so that the scale is a fraction of whole numbers. */
const EPSILON_STEPS = 1000;

/** Scale of the noise as t/s, in units of shares: SHARE_UNITS x variables / epsilon. */
export function scaleOf(epsilon: number, variables: number): { readonly t: number; readonly s: number } {
  return { t: SHARE_UNITS * variables * EPSILON_STEPS, s: Math.max(Math.floor(epsilon * EPSILON_STEPS), 1) };
}

function suppressed(raw: RawVariable, minimumCount: number): ReleasedVariable {
  const { name, unit, low, high, counts, cases } = raw;
  const tells = (place: number): boolean => cases[place]! >= minimumCount;
  const kept = (column: readonly number[]): number[] => column.map((value, place) => (tells(place) ? value : 0));
  const moments = counts
    .map(
      (count, place): Moments => (tells(place) ? { count, mean: raw.means[place]!, m2: raw.m2s[place]! } : NO_MOMENTS),
    )
    .reduce(mergeMoments, NO_MOMENTS);
  const hidden = counts.filter((count, place) => count > 0 && !tells(place)).length;
  const exact = { counts: kept(counts), mean: moments.mean, m2: moments.m2, ...extremesOf(raw, minimumCount, tells) };
  return { name, unit, low, high, shares: kept(raw.shares), exact, suppressedBins: hidden };
}

/** An extreme value is that of one case: with a minimum above 1 the ends of the outermost bins that are told stand for it. */
function extremesOf(raw: RawVariable, minimumCount: number, tells: (place: number) => boolean) {
  const { low, high, counts, minimum, maximum } = raw;
  if (minimumCount === 1) return { minimum, maximum };
  const told = counts.flatMap((count, place) => (count > 0 && tells(place) ? [place] : []));
  const width = (high - low) / (counts.length - 2);
  const edge = (place: number): number => Math.min(Math.max(low + place * width, low), high);
  return { minimum: edge((told[0] ?? 1) - 1), maximum: edge(told.at(-1) ?? counts.length - 2) };
}
