import assert from 'node:assert/strict';
import fc from 'fast-check';
import { mergeStatistics, QUANTILES, type SiteStatistics } from '../../federation/statistics';
import { release } from '../../fl-site/statistics/release';
import { CaseHistogram } from '../../imaging/histogram';

const [LOW, HIGH, BINS] = [-100, 100, 20];
const EXACT = { allow: true, minimumCount: 1, maximumBins: 64 };

/** What a site with these cases tells, by the way that its values really go. */
function told(cases: readonly (readonly number[])[], policy: Parameters<typeof release>[1] = EXACT): SiteStatistics {
  const histogram = new CaseHistogram(LOW, HIGH, BINS);
  for (const values of cases) histogram.addCase(values);
  const { counts, cases: reached, means, m2s, shares, ...rest } = histogram.sums();
  const columns = { counts: [...counts], cases: [...reached], means: [...means], m2s: [...m2s], shares: [...shares] };
  return release({ cases: cases.length, variables: [{ name: 'x', unit: 'HU', ...rest, ...columns }] }, policy);
}

const close = (actual: number, expected: number, what: string): void =>
  assert.ok(Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected)), `${what}: ${actual}, ${expected}`);

describe('statistics of several sites', () => {
  const value = fc.oneof(
    fc.integer({ min: -15e5, max: 15e5 }).map((v) => v / 1e4),
    fc.integer({ min: -100, max: 100 }),
  );
  const sites = fc.array(fc.array(fc.array(value, { maxLength: 30 }), { minLength: 1, maxLength: 5 }), {
    minLength: 1,
    maxLength: 5,
  });

  it('are those of all values in one place: count, mean, variance, extremes, histogram, quantiles', () => {
    fc.assert(
      fc.property(sites, (bySite) => {
        const pooled = bySite.flat(2);
        fc.pre(pooled.length > 0);
        const merged = mergeStatistics(new Map(bySite.map((cases, index) => [`s${index}`, told(cases)])));
        const [x] = merged.variables;
        const mean = pooled.reduce((sum, v) => sum + v, 0) / pooled.length;
        assert.equal(x!.weighting, 'values');
        assert.equal(x!.count, pooled.length);
        close(x!.mean, mean, 'mean');
        close(x!.variance, pooled.reduce((sum, v) => sum + (v - mean) ** 2, 0) / pooled.length, 'variance');
        assert.deepEqual([x!.minimum, x!.maximum], [Math.min(...pooled), Math.max(...pooled)]);
        const inBin = (place: number) => (v: number) => {
          if (place === 0) return v < LOW;
          if (place === BINS + 1) return v >= HIGH;
          return v >= LOW + (place - 1) * 10 && v < LOW + place * 10;
        };
        assert.deepEqual(
          x!.weights,
          Array.from({ length: BINS + 2 }, (_, place) => pooled.filter(inBin(place)).length),
        );
        const sorted = [...pooled].sort((a, b) => a - b);
        QUANTILES.forEach((share, index) => {
          const exact = sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)]!;
          const bounded = Math.min(Math.max(exact, LOW), HIGH);
          assert.ok(
            Math.abs(x!.quantiles[index]! - bounded) <= 10 + 1e-9,
            `${share}: ${x!.quantiles[index]}, ${exact}`,
          );
        });
      }),
    );
  });

  it('do not depend on how the cases lie at the sites', () => {
    fc.assert(
      fc.property(sites, (bySite) => {
        fc.pre(bySite.flat(2).length > 0);
        const apart = mergeStatistics(new Map(bySite.map((cases, index) => [`s${index}`, told(cases)]))).variables[0]!;
        const together = mergeStatistics(new Map([['s', told(bySite.flat())]])).variables[0]!;
        assert.deepEqual([apart.count, apart.weights], [together.count, together.weights]);
        close(apart.variance, together.variance, 'variance');
      }),
    );
  });

  it('let each case weigh the same as soon as one site adds noise, and pretend no exactness', () => {
    const noNoise = { ...EXACT, noiseEpsilon: 1 };
    const quiet = release(
      { cases: 2, variables: [raw([[-95, -95, -95, 95], [95]])] },
      noNoise,
      () => 0, // noise that happens to be 0
    );
    const merged = mergeStatistics(
      new Map([
        ['noisy', quiet],
        ['exact', told([[-95]])],
      ]),
    );
    const [x] = merged.variables;
    assert.equal(x!.weighting, 'cases');
    assert.equal(x!.count, 3);
    assert.deepEqual([x!.weights[1], x!.weights[BINS]], [1.75, 1.25]);
    assert.equal(x!.mean, (1.75 * -95 + 1.25 * 95) / 3);
    assert.deepEqual([x!.minimum, x!.maximum], [LOW, HIGH]);
    assert.deepEqual(merged.sites, [
      { site: 'noisy', epsilon: 1 },
      { site: 'exact', cases: 1 },
    ]);
  });

  it('leave out a site that counted another range, and are nothing without sites', () => {
    const other = told([[1]]);
    const moved = { ...other, variables: other.variables.map((variable) => ({ ...variable, high: 900 })) };
    const merged = mergeStatistics(
      new Map([
        ['a', told([[5]])],
        ['b', moved],
      ]),
    );
    assert.deepEqual(merged.variables[0]!.sites, ['a']);
    assert.deepEqual(mergeStatistics(new Map()), { sites: [], variables: [] });
  });
});

function raw(cases: readonly (readonly number[])[]) {
  const histogram = new CaseHistogram(LOW, HIGH, BINS);
  for (const values of cases) histogram.addCase(values);
  const { counts, cases: reached, means, m2s, shares, ...rest } = histogram.sums();
  const columns = { counts: [...counts], cases: [...reached], means: [...means], m2s: [...m2s], shares: [...shares] };
  return { name: 'x', unit: 'HU', ...rest, ...columns };
}
