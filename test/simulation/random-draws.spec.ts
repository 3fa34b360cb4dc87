import assert from 'node:assert/strict';
import fc from 'fast-check';
import { seededRandom } from '../../base/random';
import { dirichlet, drawKind } from '../../simulation/random-draws';

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('uneven shares', () => {
  it('sum to 1, none is negative, and the same seed gives the same', () => {
    const alpha = fc.option(fc.double({ min: 1e-3, max: 1e4, noNaN: true }), { nil: undefined });
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 40 }), alpha, (seed, kinds, shape) => {
        const shares = dirichlet(seededRandom(seed), kinds, shape);
        assert.equal(shares.length, kinds);
        assert.ok(shares.every((share) => share >= 0));
        assert.ok(Math.abs(shares.reduce((sum, share) => sum + share, 0) - 1) < 1e-9);
        assert.deepEqual(shares, dirichlet(seededRandom(seed), kinds, shape));
      }),
    );
  });

  it('have the mean and the variance of the Dirichlet distribution', () => {
    const random = seededRandom(3);
    for (const alpha of [0.2, 1, 5]) {
      const kinds = 4;
      const first = Array.from({ length: 20_000 }, () => dirichlet(random, kinds, alpha)[0]!);
      const variance = mean(first.map((share) => (share - 1 / kinds) ** 2));
      const expected = ((1 / kinds) * (1 - 1 / kinds)) / (kinds * alpha + 1);
      assert.ok(Math.abs(mean(first) - 1 / kinds) < 0.01, `mean of ${alpha}`);
      assert.ok(Math.abs(variance / expected - 1) < 0.05, `variance of ${alpha}: ${variance} for ${expected}`);
    }
  });

  it('are drawn as often as they say', () => {
    const random = seededRandom(5);
    const counts = [0, 0, 0];
    for (let i = 0; i < 30_000; i++) counts[drawKind(random, [0.1, 0, 0.9])]!++;
    assert.equal(counts[1], 0);
    assert.ok(Math.abs(counts[0]! / 30_000 - 0.1) < 0.01);
  });
});
