import { z } from 'zod';
import { type Moments, mergeMoments, NO_MOMENTS, varianceOf } from '../base/moments';
import type { Plan } from './plan';
import { MAX_BINS, MAX_VARIABLES, type StatisticsTask, variableFields } from './trainer-contract';

/**
 * What a site lets go about its images, and how that of several sites becomes one. All ranges are agreed by the plan, so
 * histograms add up bin by bin.
 */

/** What a trainer is told to count, from the plan. What is no intensity has ranges that hold any CT. */
export function statisticsRequest({ bins, low, high }: NonNullable<Plan['statistics']>): StatisticsTask['statistics'] {
  return { bins, ranges: { intensity: [low, high], spacing: [0, 10], size: [0, 1024], volume: [0, 4096] } };
}

const places = z
  .array(z.number())
  .min(3)
  .max(MAX_BINS + 2);
/** The most characters of what a site tells, as JSON. */
export const MAX_STATISTICS_CHARACTERS = 1 << 20;

const whole = z.number().int().min(0);

/** Exact sums over the values of all bins that were not suppressed. */
const exactSchema = z.object({
  counts: places,
  mean: z.number(),
  m2: z.number().min(0),
  minimum: z.number(),
  maximum: z.number(),
});

const releasedVariableSchema = z.object({
  ...variableFields,
  /** Weight of each place when every case weighs 1: shares of cases in 1/10 000, with noise where the site adds it. */
  shares: places,
  /** Absent where the site adds noise. */
  exact: exactSchema.optional(),
  suppressedBins: whole,
});
export type ReleasedVariable = z.infer<typeof releasedVariableSchema>;

export const siteStatisticsSchema = z.object({
  /** Absent with noise, and when the site has too few cases to tell anything. */
  cases: whole.optional(),
  /** Why nothing was told. */
  suppressed: z.string().max(500).optional(),
  /** The privacy loss of this answer for one case, all variables together (Dwork 2006). Absent without noise. */
  epsilon: z.number().positive().optional(),
  variables: z.array(releasedVariableSchema).max(MAX_VARIABLES),
});
export type SiteStatistics = z.infer<typeof siteStatisticsSchema>;

/** The units of {@link ReleasedVariable.shares} in one case. */
const UNITS = 10_000;
export const QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95] as const;

export const mergedVariableSchema = z.object({
  ...variableFields,
  sites: z.array(z.string()),
  /** `values`: every voxel weighs the same, mean and variance are exact. `cases`: every case weighs the same, all comes from the histogram. */
  weighting: z.enum(['values', 'cases']),
  /** Values, or cases as far as they can be told from noise. */
  count: z.number(),
  mean: z.number(),
  /** Of the population. */
  variance: z.number(),
  /** Bounds: exact where no site hides its extremes, ends of bins otherwise. */
  minimum: z.number(),
  maximum: z.number(),
  /** Below the range, its bins, at or above its end. */
  weights: places,
  /** By {@link QUANTILES}, to within a bin. */
  quantiles: z.array(z.number()),
  suppressedBins: whole,
});
export type MergedVariable = z.infer<typeof mergedVariableSchema>;

export const mergedStatisticsSchema = z.object({
  sites: z.array(
    z.object({
      site: z.string(),
      cases: whole.optional(),
      suppressed: z.string().optional(),
      epsilon: z.number().optional(),
    }),
  ),
  variables: z.array(mergedVariableSchema),
});
export type MergedStatistics = z.infer<typeof mergedStatisticsSchema>;

/** Statistics of all these sites together; of one site, its own. */
export function mergeStatistics(bySite: ReadonlyMap<string, SiteStatistics>): MergedStatistics {
  const names = [...new Set([...bySite.values()].flatMap(({ variables }) => variables.map(({ name }) => name)))].sort();
  return {
    sites: [...bySite].map(([site, { variables: _, ...told }]) => ({ site, ...told })),
    variables: names.flatMap((name) => mergeVariable(name, bySite) ?? []),
  };
}

function mergeVariable(name: string, bySite: ReadonlyMap<string, SiteStatistics>): MergedVariable | undefined {
  const told = [...bySite].flatMap(([site, { variables }]) => {
    const variable = variables.find((other) => other.name === name);
    return variable ? [{ site, variable }] : [];
  });
  const [first] = told.map(({ variable }) => variable);
  const fits = ({ variable: { low, high, unit, shares } }: (typeof told)[number]): boolean =>
    low === first!.low && high === first!.high && unit === first!.unit && shares.length === first!.shares.length;
  const merged = told.filter(fits);
  if (!first) return undefined;
  const variables = merged.map(({ variable }) => variable);
  const exact = variables.flatMap((variable) => variable.exact ?? []);
  const { low, high, unit } = first;
  const common = {
    ...{ name, unit, low, high },
    sites: merged.map(({ site }) => site),
    suppressedBins: variables.reduce((sum, { suppressedBins }) => sum + suppressedBins, 0),
  };
  if (exact.length < variables.length) return { ...common, ...ofCases(first, variables) };
  const weights = added(exact.map(({ counts }) => counts));
  const moments = exact
    .map(({ counts, mean, m2 }): Moments => ({ count: counts.reduce(sum, 0), mean, m2 }))
    .reduce(mergeMoments, NO_MOMENTS);
  const filled = exact.filter(({ counts }) => counts.some((count) => count > 0));
  return {
    ...common,
    weighting: 'values',
    count: moments.count,
    mean: moments.mean,
    variance: varianceOf(moments),
    minimum: filled.length === 0 ? low : Math.min(...filled.map(({ minimum }) => minimum)),
    maximum: filled.length === 0 ? high : Math.max(...filled.map(({ maximum }) => maximum)),
    weights,
    quantiles: quantilesOf(weights, low, high),
  };
}

/** From the case-weighted histogram alone: each bin counts with its middle, noise below 0 as 0. */
function ofCases({ low, high }: ReleasedVariable, variables: readonly ReleasedVariable[]) {
  const weights = added(variables.map(({ shares }) => shares)).map((units) => Math.max(units / UNITS, 0));
  const count = weights.reduce(sum, 0);
  const middles = weights.map((_, place) => middleOf(place, weights.length - 2, low, high));
  const mean = count === 0 ? 0 : weights.reduce((total, weight, at) => total + weight * middles[at]!, 0) / count;
  const spread = weights.reduce((total, weight, at) => total + weight * (middles[at]! - mean) ** 2, 0);
  return {
    weighting: 'cases' as const,
    count,
    mean,
    variance: count === 0 ? 0 : spread / count,
    minimum: low,
    maximum: high,
    weights,
    quantiles: quantilesOf(weights, low, high),
  };
}

function middleOf(place: number, bins: number, low: number, high: number): number {
  if (place === 0) return low;
  if (place === bins + 1) return high;
  return low + ((place - 0.5) * (high - low)) / bins;
}

/** Linear within a bin; what lies outside of the range counts as its end. */
function quantilesOf(weights: readonly number[], low: number, high: number): number[] {
  const total = weights.reduce(sum, 0);
  const width = (high - low) / (weights.length - 2);
  return QUANTILES.map((share) => {
    let left = share * total;
    for (const [place, weight] of weights.entries()) {
      if (left > weight || weight === 0) {
        left -= weight;
        continue;
      }
      if (place === 0) return low;
      if (place === weights.length - 1) return high;
      return low + (place - 1 + left / weight) * width;
    }
    return high;
  });
}

function added(columns: readonly (readonly number[])[]): number[] {
  return columns[0]!.map((_, place) => columns.reduce((total, column) => total + column[place]!, 0));
}

function sum(total: number, value: number): number {
  return total + value;
}
