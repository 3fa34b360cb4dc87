import assert from 'node:assert/strict';
import fc from 'fast-check';
import { seededRandom } from '../../../base/random';
import { discreteLaplace } from '../../../fl-site/statistics/discrete-laplace';
import { release, scaleOf } from '../../../fl-site/statistics/release';

const POLICY = { allow: true, minimumCount: 3, maximumBins: 64 };

/** Five places: below, three bins over 0..3, above. One case has the only value above. */
const RAW = {
  cases: 4,
  variables: [
    {
      ...{ name: 'intensity', unit: 'HU', low: 0, high: 3, minimum: 0.25, maximum: 77 },
      counts: [0, 8, 4, 2, 1],
      cases: [0, 4, 3, 2, 1],
      means: [0, 0.5, 1.5, 2.5, 77],
      m2s: [0, 0.5, 0, 0.125, 0],
      shares: [0, 24_000, 12_000, 3000, 1000],
    },
  ],
};

describe('what a site tells of its statistics', () => {
  it('is nothing when it has fewer cases than its minimum', () => {
    const told = release(RAW, { ...POLICY, minimumCount: 5 });
    assert.deepEqual(told.variables, []);
    assert.equal(told.cases, undefined, 'not even how many');
    assert.match(told.suppressed!, /fewer than 5 cases/);
  });

  it('leaves out bins that too few cases reach, from mean, variance and extremes too', () => {
    const { cases, variables } = release(RAW, POLICY);
    const [told] = variables;
    assert.equal(cases, 4);
    assert.deepEqual(told!.exact!.counts, [0, 8, 4, 0, 0]);
    assert.deepEqual(told!.shares, [0, 24_000, 12_000, 0, 0]);
    assert.equal(told!.suppressedBins, 2);
    // 8 values of mean 0.5 and 4 of mean 1.5: nothing of 77 shows.
    assert.ok(Math.abs(told!.exact!.mean - 10 / 12) < 1e-12);
    assert.ok(Math.abs(told!.exact!.m2 - (0.5 + 8 * (0.5 - 10 / 12) ** 2 + 4 * (1.5 - 10 / 12) ** 2)) < 1e-12);
    assert.deepEqual([told!.exact!.minimum, told!.exact!.maximum], [0, 2], 'ends of bins, not values of cases');
    assert.ok(!JSON.stringify(told).includes('77') && !JSON.stringify(told).includes('0.25'));
  });

  it('is exact with a minimum of 1', () => {
    const [told] = release(RAW, { ...POLICY, minimumCount: 1 }).variables;
    assert.deepEqual([told!.exact!.minimum, told!.exact!.maximum, told!.suppressedBins], [0.25, 77, 0]);
    assert.deepEqual(told!.exact!.counts, RAW.variables[0]!.counts);
  });

  it('holds nothing exact when noise is added, and says its epsilon', () => {
    const told = release(RAW, { ...POLICY, noiseEpsilon: 0.5 }, () => -7);
    assert.deepEqual(told, {
      epsilon: 0.5,
      variables: [
        {
          ...{ name: 'intensity', unit: 'HU', low: 0, high: 3, suppressedBins: 0 },
          shares: RAW.variables[0]!.shares.map((share) => share - 7),
        },
      ],
    });
  });

  it('draws noise of scale 10 000 x variables / epsilon, never smaller', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 100, noNaN: true }), fc.integer({ min: 1, max: 64 }), (epsilon, n) => {
        const { t, s } = scaleOf(epsilon, n);
        assert.ok(Number.isInteger(t) && Number.isInteger(s) && t < 2 ** 36);
        assert.ok(t / s >= (10_000 * n) / epsilon - 1e-6);
        assert.ok(t / s <= ((10_000 * n) / epsilon) * 2.001, 'rounding costs less than a factor of 2 at 0.001');
      }),
    );
    const drawn: number[][] = [];
    release(
      { ...RAW, variables: [RAW.variables[0]!, { ...RAW.variables[0]!, name: 'b' }] },
      { ...POLICY, noiseEpsilon: 4 },
      (t, s) => {
        drawn.push([t / s]);
        return 0;
      },
    );
    assert.equal(drawn.length, 10, 'every place of every variable, empty ones too');
    assert.ok(drawn.every(([scale]) => scale === 5000));
  });
});

describe('the discrete Laplace distribution', () => {
  const seeded = (seed: number) => {
    const random = seededRandom(seed);
    return (limit: number) => random.integer(limit);
  };

  for (const [t, s] of [
    [1, 1],
    [3, 2],
    [10, 1],
    [1, 3],
  ] as const) {
    it(`with scale ${t}/${s} has the probabilities of its definition`, () => {
      const below = seeded(t * 100 + s);
      const draws = 60_000;
      const seen = new Map<number, number>();
      for (let i = 0; i < draws; i++) {
        const x = discreteLaplace(t, s, below);
        seen.set(x, (seen.get(x) ?? 0) + 1);
      }
      // P(x) = (e^a - 1) / (e^a + 1) e^(-a |x|), a = s/t. Pearson's chi-square over places that expect 20 draws or more.
      const a = s / t;
      const probability = (x: number) => ((Math.exp(a) - 1) / (Math.exp(a) + 1)) * Math.exp(-a * Math.abs(x));
      let [square, places] = [0, 0];
      for (let x = -200; x <= 200; x++) {
        const expected = draws * probability(x);
        if (expected < 20) continue;
        square += ((seen.get(x) ?? 0) - expected) ** 2 / expected;
        places++;
      }
      // Mean of chi-square is its degrees of freedom, its deviation sqrt(2 of them); the draws are the same every time.
      assert.ok(square < places + 4 * Math.sqrt(2 * places), `${square} over ${places} places`);
      assert.ok(places >= 3);
    });
  }

  it('comes from the cryptographic generator, not from Math.random', () => {
    const { random } = Math;
    Math.random = () => assert.fail('Math.random was asked');
    try {
      const draws = Array.from({ length: 200 }, () => discreteLaplace(1000, 1));
      assert.ok(new Set(draws).size > 100);
      assert.ok(draws.every(Number.isSafeInteger));
      assert.ok(draws.some((x) => x < 0) && draws.some((x) => x > 0));
    } finally {
      Math.random = random;
    }
  });
});
