import assert from 'node:assert/strict';
import fc from 'fast-check';
import { seededRandom } from '../../base/random';
import type { Shape3 } from '../../imaging/volume';
import { cutPatch, type NetworkInput, patchStarts, slideOver } from '../../training/engine/sliding-window';
import { UNet } from '../../training/engine/unet';
import { initialWeights } from '../../training/engine/weights';

function network(patch: Shape3): UNet {
  const net = new UNet({ channels: [8, 8], patch }, 'inference');
  net.weights.set(initialWeights(net.spec, 2));
  return net;
}

function noise(shape: Shape3, seed = 1): NetworkInput {
  const random = seededRandom(seed);
  const values = Float32Array.from({ length: shape[0] * shape[1] * shape[2] }, () => random.normal());
  return { shape, values };
}

describe('patches along an axis', () => {
  const sizes = fc.integer({ min: 1, max: 200 });
  const overlaps = fc.double({ min: 0, max: 0.9, noNaN: true });

  it('cover every voxel, stay inside, and overlap by the share asked for', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 64 }), overlaps, (size, patch, overlap) => {
        const starts = patchStarts(size, patch, overlap);
        if (size <= patch) {
          assert.equal(starts.length, 1);
          assert.ok(starts[0] <= 0 && starts[0] + patch >= size);
          return;
        }
        assert.equal(starts[0], 0);
        assert.equal(starts.at(-1)! + patch, size);
        for (let n = 1; n < starts.length; n++) {
          const stride = starts[n] - starts[n - 1];
          assert.ok(stride >= 1 && stride <= Math.max(1, Math.ceil(patch * (1 - overlap))));
        }
      }),
    );
  });

  it('put a small volume in the middle', () => {
    assert.deepEqual(patchStarts(6, 16, 0.5), [-5]);
  });
});

describe('the sliding window', () => {
  it('equals the network itself where one patch holds the volume', async () => {
    const net = network([8, 8, 8]);
    const input = noise([8, 8, 8]);
    const found = await slideOver(net, input, { overlap: 0.5, outside: 0 });
    net.input.set(input.values);
    const expected = net.forward().map((logit) => 1 / (1 + Math.exp(-logit)));
    for (const [v, value] of found.entries()) assert.ok(Math.abs(value - expected[v]) < 1e-6);
  });

  it('shows a volume smaller than the patch in its middle, among air', async () => {
    const net = network([8, 8, 8]);
    const input = noise([4, 5, 8]);
    const found = await slideOver(net, input, { overlap: 0, outside: -1.2 });
    const padded = new Float32Array(512).fill(-1.2);
    for (let k = 0; k < 8; k++)
      for (let j = 0; j < 5; j++)
        for (let i = 0; i < 4; i++) padded[(k * 8 + j + 1) * 8 + i + 2] = input.values[(k * 5 + j) * 4 + i];
    net.input.set(padded);
    const logits = net.forward();
    for (let k = 0; k < 8; k++)
      for (let j = 0; j < 5; j++)
        for (let i = 0; i < 4; i++) {
          const expected = 1 / (1 + Math.exp(-logits[(k * 8 + j + 1) * 8 + i + 2]));
          assert.ok(Math.abs(found[(k * 5 + j) * 4 + i] - expected) < 1e-6);
        }
  });

  it('gives each voxel a mean of the answers of the patches that hold it', async () => {
    const net = network([8, 8, 8]);
    const input = noise([20, 9, 8]);
    const found = await slideOver(net, input, { overlap: 0.5, outside: 0 });
    const [low, high] = [new Float32Array(found.length).fill(1), new Float32Array(found.length)];
    for (const j of patchStarts(9, 8, 0.5))
      for (const i of patchStarts(20, 8, 0.5)) {
        cutPatch(input, [i, j, 0], [8, 8, 8], 0, net.input);
        const logits = net.forward();
        for (let v = 0; v < logits.length; v++) {
          const at = (Math.floor(v / 64) * 9 + j + (Math.floor(v / 8) % 8)) * 20 + i + (v % 8);
          const probability = 1 / (1 + Math.exp(-logits[v]));
          low[at] = Math.min(low[at], probability);
          high[at] = Math.max(high[at], probability);
        }
      }
    for (const [v, value] of found.entries())
      assert.ok(value >= low[v] - 1e-6 && value <= high[v] + 1e-6, `voxel ${v}`);
  });

  it('reports progress up to 1 and stops between patches when asked to', async () => {
    const net = network([8, 8, 8]);
    const input = noise([32, 8, 8]);
    const shares: number[] = [];
    await slideOver(net, input, { overlap: 0, outside: 0, onProgress: (share) => shares.push(share) });
    assert.deepEqual(shares, [0.25, 0.5, 0.75, 1]);

    const stop = new AbortController();
    const seen: number[] = [];
    const stopped = slideOver(net, input, {
      overlap: 0,
      outside: 0,
      signal: stop.signal,
      onProgress: (share) => {
        seen.push(share);
        if (share === 0.5) stop.abort(new Error('enough'));
      },
    });
    await assert.rejects(stopped, /enough/);
    assert.deepEqual(seen, [0.25, 0.5]);
  });
});
