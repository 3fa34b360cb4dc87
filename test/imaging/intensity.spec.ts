import assert from 'node:assert/strict';
import { windowed } from '../../imaging/intensity';

describe('a window on Hounsfield units', () => {
  it('scales to 0..1 and clamps, with NaN as black', () => {
    const values = windowed(Float32Array.of(-1000, -160, 40, 240, 3000, Number.NaN));
    assert.deepEqual([...values], [0, 0, 0.5, 1, 1, 0]);
  });

  it('takes integers and another window', () => {
    assert.deepEqual([...windowed(Int16Array.of(0, 50, 100), { low: 0, high: 100 })], [0, 0.5, 1]);
  });

  it('refuses an empty window', () => {
    assert.throws(() => windowed(Int16Array.of(1), { low: 5, high: 5 }), { code: 'invalid-input' });
    assert.throws(() => windowed(Int16Array.of(1), { low: Number.NaN, high: 5 }), { code: 'invalid-input' });
  });
});
