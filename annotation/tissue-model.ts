import type { Volume } from '../imaging/volume';
import { gaussianKernel } from './gaussian';

/** Range of soft tissue and contrast, HU; values outside count as its ends. */
export const TISSUE_RANGE = { low: -250, high: 400 } as const;

/** The volume with all values in {@link TISSUE_RANGE}; NaN, which float volumes use for "no data", is its low end. */
export function withinTissue({ geometry, data }: Volume<Float32Array>): Volume<Float32Array> {
  const { low, high } = TISSUE_RANGE;
  return { geometry, data: data.map((hu) => (hu > low ? Math.min(high, hu) : low)) };
}

const BINS = 64;
const BIN_WIDTH = (TISSUE_RANGE.high - TISSUE_RANGE.low) / BINS;
/** Share that no tissue can go below: noise has no end. */
const FLOOR = 1e-4;

/** What the object's tissue looks like: median and spread of some of its voxels, robust against strays. */
export interface Tissue {
  /** HU */
  readonly median: number;
  /** Standard deviation by the median absolute deviation, HU. */
  readonly spread: number;
}

/** Even the most uniform organ varies by some HU; and a spread beyond the largest would tell nothing from anything. */
const SPREAD = { least: 5, most: 60 } as const;
/** Median absolute deviation to standard deviation of a normal distribution. */
const MAD_TO_SIGMA = 1.4826;

export function tissueOf(values: readonly number[]): Tissue {
  const median = medianOf(values);
  const deviation = MAD_TO_SIGMA * medianOf(values.map((value) => Math.abs(value - median)));
  return { median, spread: Math.min(SPREAD.most, Math.max(SPREAD.least, deviation)) };
}

/** The upper median; 0 of nothing. */
export function medianOf(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  return sorted.length === 0 ? 0 : sorted[sorted.length >> 1];
}

/**
 * Log-likelihood ratio of object against surroundings for every grey value: a normal distribution against the histogram of
 * voxels known to lie outside.
 */
export class TissueRatio {
  private readonly ratio: Float64Array;

  constructor(object: Tissue, surroundings: readonly number[]) {
    const inside = Float64Array.from({ length: BINS }, (_, bin) => {
      const distance = (TISSUE_RANGE.low + (bin + 0.5) * BIN_WIDTH - object.median) / object.spread;
      return Math.exp((-distance * distance) / 2);
    });
    const outside = new Float64Array(BINS);
    for (const value of surroundings) outside[binOf(value)] += 1;
    const [p, q] = [shares(inside), shares(outside)];
    this.ratio = p.map((share, bin) => Math.log((share + FLOOR) / (q[bin] + FLOOR)));
  }

  /** More than 0 for what looks more like the object. */
  of(value: number): number {
    return this.ratio[binOf(value)];
  }
}

function binOf(value: number): number {
  return Math.min(BINS - 1, Math.max(0, Math.floor((value - TISSUE_RANGE.low) / BIN_WIDTH)));
}

/** A histogram smoothed by one bin, as shares that add up to 1; all 0 without any value. */
function shares(counts: Float64Array): Float64Array {
  const kernel = gaussianKernel(1);
  const reach = kernel.length >> 1;
  const smooth = counts.map((_, bin) =>
    kernel.reduce((sum, weight, tap) => sum + weight * (counts[bin + tap - reach] ?? 0), 0),
  );
  const total = smooth.reduce((sum, count) => sum + count, 0);
  return total === 0 ? smooth : smooth.map((count) => count / total);
}
