import assert from 'node:assert/strict';
import { CaseHistogram } from '../../imaging/histogram';

describe('a histogram over cases', () => {
  it('puts a value on an edge into the bin that begins there, and what is outside into its ends', () => {
    const histogram = new CaseHistogram(0, 10, 5);
    histogram.addCase([-0.001, 0, 1.999, 2, 9.999, 10, 1e9]);
    assert.deepEqual(histogram.sums().counts, [1, 2, 1, 0, 0, 1, 2]);
  });

  it('counts the cases that reach a bin, and lets each case weigh the same', () => {
    const histogram = new CaseHistogram(0, 3, 3);
    histogram.addCase([0.5, 0.5, 0.5, 1.5]);
    histogram.addCase([0.5]);
    histogram.addCase([]);
    const { counts, cases, shares } = histogram.sums();
    assert.deepEqual(counts, [0, 4, 1, 0, 0]);
    assert.deepEqual(cases, [0, 2, 1, 0, 0]);
    assert.deepEqual(shares, [0, 17_500, 2_500, 0, 0]);
  });

  it('never gives a case more than its 10 000 units', () => {
    const histogram = new CaseHistogram(0, 3, 3);
    histogram.addCase([0.5, 1.5, 2.5]);
    assert.deepEqual(histogram.sums().shares, [0, 3333, 3333, 3333, 0]);
  });

  it('looks only where the mask is set, and leaves NaN out', () => {
    const histogram = new CaseHistogram(0, 4, 2);
    histogram.addCase(Float32Array.of(1, Number.NaN, 3, 3), Uint8Array.of(1, 1, 0, 2));
    const { counts, minimum, maximum } = histogram.sums();
    assert.deepEqual([counts, minimum, maximum], [[0, 1, 1, 0], 1, 3]);
  });

  it('refuses a range or a number of bins that is none', () => {
    for (const [low, high, bins] of [
      [1, 1, 4],
      [0, 1, 0],
      [0, Number.NaN, 2],
      [0, 1, 1.5],
    ] as const) {
      assert.throws(() => new CaseHistogram(low, high, bins), /cannot be made/);
    }
  });
});
