import { ClaraError } from '../base/errors';

/** A case spreads this many units over the bins of a histogram in which each case weighs the same. */
export const SHARE_UNITS = 10_000;

/** Sums over cases and values, in `bins + 2` places: below the range, its bins of equal width, and at or above its end. */
export interface BinnedSums {
  readonly low: number;
  readonly high: number;
  /** Values in each place. */
  readonly counts: readonly number[];
  /** Cases with at least one value there. */
  readonly cases: readonly number[];
  /** Mean of the values there; 0 where there are none. */
  readonly means: readonly number[];
  /** Sum of squared differences from that mean. */
  readonly m2s: readonly number[];
  /** Share of each case's values there, in units of 1/10 000 of a case and rounded down, summed over the cases. */
  readonly shares: readonly number[];
  readonly minimum: number;
  readonly maximum: number;
}

/**
 * A histogram over a range that was agreed before, with the moments of each bin (Welford 1962), so that histograms of several
 * sites, or of some of their bins, give exact means and variances when they are merged.
 */
export class CaseHistogram {
  readonly #counts: Float64Array;
  readonly #cases: Float64Array;
  readonly #means: Float64Array;
  readonly #m2s: Float64Array;
  readonly #shares: Float64Array;
  readonly #ofCase: Float64Array;
  #minimum = Number.POSITIVE_INFINITY;
  #maximum = Number.NEGATIVE_INFINITY;

  /** @throws ClaraError `invalid-input` when the range is empty or there is no bin */
  constructor(
    readonly low: number,
    readonly high: number,
    readonly bins: number,
  ) {
    if (!(high > low) || !Number.isInteger(bins) || bins < 1) {
      throw new ClaraError('invalid-input', `a histogram of ${bins} bins from ${low} to ${high} cannot be made`);
    }
    const places = () => new Float64Array(bins + 2);
    this.#counts = places();
    this.#cases = places();
    this.#means = places();
    this.#m2s = places();
    this.#shares = places();
    this.#ofCase = places();
  }

  /** Adds values of one case; NaN, which volumes use for "no data", is left out. @param mask only where it is not 0 */
  addCase(values: ArrayLike<number>, mask?: ArrayLike<number>): void {
    const ofCase = this.#ofCase.fill(0);
    const [counts, means, m2s] = [this.#counts, this.#means, this.#m2s];
    const range = this.high - this.low;
    let total = 0;
    for (let at = 0; at < values.length; at++) {
      if (mask !== undefined && mask[at] === 0) continue;
      const value = values[at]!;
      if (Number.isNaN(value)) continue;
      const place =
        value < this.low
          ? 0
          : value >= this.high
            ? this.bins + 1
            : 1 + Math.min(Math.floor(((value - this.low) * this.bins) / range), this.bins - 1);
      ofCase[place]!++;
      total++;
      const count = ++counts[place]!;
      const delta = value - means[place]!;
      means[place]! += delta / count;
      m2s[place]! += delta * (value - means[place]!);
      if (value < this.#minimum) this.#minimum = value;
      if (value > this.#maximum) this.#maximum = value;
    }
    for (let place = 0; place < ofCase.length; place++) {
      if (ofCase[place] === 0) continue;
      this.#cases[place]!++;
      this.#shares[place]! += Math.floor((ofCase[place]! * SHARE_UNITS) / total);
    }
  }

  sums(): BinnedSums {
    const isEmpty = this.#minimum > this.#maximum;
    return {
      low: this.low,
      high: this.high,
      counts: [...this.#counts],
      cases: [...this.#cases],
      means: [...this.#means],
      m2s: [...this.#m2s],
      shares: [...this.#shares],
      minimum: isEmpty ? 0 : this.#minimum,
      maximum: isEmpty ? 0 : this.#maximum,
    };
  }
}
