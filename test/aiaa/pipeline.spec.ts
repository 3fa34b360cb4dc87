import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { PreStep } from '../../aiaa/config/pipeline';
import { finishMask } from '../../aiaa/inference/pipeline/finish';
import { keepLargest } from '../../aiaa/inference/pipeline/largest-component';
import type { Network } from '../../aiaa/inference/pipeline/network';
import { prepareVolume, spacedGrid } from '../../aiaa/inference/pipeline/prepare';
import { segmentBy } from '../../aiaa/inference/pipeline/segment';
import { slideOver, windowStarts } from '../../aiaa/inference/pipeline/sliding-window';
import type { Affine, Geometry, Mask, Shape3, Volume } from '../../imaging/volume';

const IDENTITY: Affine = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0];
const voxelsOf = ([ni, nj, nk]: Shape3) => ni * nj * nk;
const lengths = (max: number): fc.Arbitrary<Shape3> =>
  fc.tuple(fc.integer({ min: 1, max }), fc.integer({ min: 1, max }), fc.integer({ min: 1, max }));

/** Says of each voxel what `score` says of its value. */
function pointwise(score: (value: number) => readonly number[], channels = 1): Network {
  return {
    inputShape: [null, null, null],
    async run(input) {
      const scores = Array.from(input, score);
      const values = new Float32Array(channels * input.length);
      for (let c = 0; c < channels; c += 1)
        for (let at = 0; at < input.length; at += 1) values[c * input.length + at] = scores[at][c];
      return { channels, values };
    },
  };
}

function volumeOf(shape: Shape3, value: (at: number) => number, affine: Affine = IDENTITY): Volume<Float32Array> {
  return { geometry: { shape, affine }, data: Float32Array.from({ length: voxelsOf(shape) }, (_, at) => value(at)) };
}

describe('sliding window', () => {
  it('covers every voxel, steps by the overlap and ends with the volume', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 30 }),
        fc.double({ min: 0, max: 0.9, noNaN: true }),
        (size, roi, overlap) => {
          const starts = windowStarts(size, roi, overlap);
          const seen = new Set(starts.flatMap((start) => Array.from({ length: roi }, (_, at) => start + at)));
          for (let at = 0; at < size; at += 1) assert.ok(seen.has(at), `voxel ${at}`);
          assert.equal(new Set(starts).size, starts.length);
          if (size >= roi) assert.ok(starts.every((start) => start >= 0 && start + roi <= size));
        },
      ),
    );
  });

  it('changes nothing of what a network says that looks at single voxels, whatever the windows', async () => {
    await fc.assert(
      fc.asyncProperty(
        lengths(7),
        lengths(6),
        fc.double({ min: 0, max: 0.8, noNaN: true }),
        async (shape, roi, overlap) => {
          const image = volumeOf(shape, (at) => ((at * 37) % 19) - 9);
          const network = pointwise((value) => [2 * value + 1, -value], 2);
          const { channels } = await slideOver(network, image, { roi, overlap, blending: 'gaussian' }, {});
          for (const [at, value] of image.data.entries()) {
            assert.ok(Math.abs(channels[0][at] - (2 * value + 1)) < 1e-4);
            assert.ok(Math.abs(channels[1][at] + value) < 1e-4);
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it('blends by the Gaussian of MONAI: 0.125 of the window, cut at a thousandth', async () => {
    let window = 0;
    const counting: Network = {
      inputShape: [null, null, null],
      run: async (input) => ({ channels: 1, values: new Float32Array(input.length).fill(window++) }),
    };
    const image = volumeOf([12, 1, 1], () => 0);
    const { channels } = await slideOver(counting, image, { roi: [8, 1, 1], overlap: 0.5, blending: 'gaussian' }, {});
    const weight = (at: number) => Math.max(1e-3, Math.exp(-((at - 3.5) ** 2) / 2)); // sigma = 0.125 * 8
    for (let at = 4; at < 8; at += 1) {
      const [first, second] = [weight(at), weight(at - 4)];
      assert.ok(Math.abs(channels[0][at] - second / (first + second)) < 1e-6, `voxel ${at}`);
    }
    assert.deepEqual([channels[0][0], channels[0][11]], [0, 1]);
  });

  it('gives the network i, j, k in the order that MONAI does: k fastest', async () => {
    let seen: number[] = [];
    const looking: Network = {
      inputShape: [2, 3, 4],
      async run(input) {
        seen = [...input];
        return { channels: 1, values: input };
      },
    };
    const [ni, nj, nk] = [2, 3, 4];
    const image = volumeOf(
      [ni, nj, nk],
      (at) => (at % ni) * 100 + (Math.floor(at / ni) % nj) * 10 + Math.floor(at / (ni * nj)),
    );
    const { channels } = await slideOver(looking, image, null, {});
    assert.deepEqual(seen.slice(0, 6), [0, 1, 2, 3, 10, 11]);
    assert.deepEqual(seen.slice(-2), [122, 123]);
    assert.deepEqual(channels[0], image.data);
  });

  it('says what a network cannot take', async () => {
    const fixed: Network = { ...pointwise((value) => [value]), inputShape: [8, null, 8] };
    await assert.rejects(
      slideOver(
        fixed,
        volumeOf([4, 4, 4], () => 0),
        null,
        {},
      ),
      {
        code: 'unsupported',
        message: /takes 8 x any x 8 voxels, but without a scanning window it is given 4 x 4 x 4/,
      },
    );
    const shrinking: Network = {
      ...fixed,
      inputShape: [null, null, null],
      run: async () => ({ channels: 1, values: new Float32Array(3) }),
    };
    await assert.rejects(
      slideOver(
        shrinking,
        volumeOf([4, 4, 4], () => 0),
        null,
        {},
      ),
      { code: 'unsupported', message: /must have the size of its input/ },
    );
  });
});

describe('steps before the network', () => {
  const apply = (values: readonly number[], ...steps: PreStep[]) => [
    ...prepareVolume(
      volumeOf([values.length, 1, 1], (at) => values[at]),
      steps,
    ).data,
  ];

  it('scale intensities as MONAI does', () => {
    const range = { kind: 'scale-range', aMin: -100, aMax: 300, target: [0, 2], clip: true } as const;
    assert.deepEqual(apply([-500, -100, 100, 300, 900], range), [0, 0, 1, 2, 2]);
    assert.deepEqual(apply([-500, 900], { ...range, clip: false }), [-2, 5]);
    assert.deepEqual(apply([100], { ...range, target: null }), [0.5]);
    assert.deepEqual(apply([3, 7], { ...range, aMax: -100 }), [103, 107], 'an empty range only shifts');
    assert.deepEqual(apply([2, 4, 6], { kind: 'scale-extremes', min: -1, max: 1 }), [-1, 0, 1]);
    assert.deepEqual(apply([5, 5], { kind: 'scale-extremes', min: 2, max: 3 }), [10, 10]);
    assert.deepEqual(apply([2], { kind: 'scale-factor', factor: 0.5 }), [3]);
    const percentiles = { kind: 'scale-percentiles', lower: 25, upper: 75, target: [0, 1], clip: true } as const;
    assert.deepEqual(apply([0, 1, 2, 3, 4], percentiles), [0, 0, 0.5, 1, 1]);
  });

  it('normalise to mean 0 and deviation 1, with zeros left out when asked', () => {
    const own = { kind: 'normalise', subtrahend: null, divisor: null, nonzero: false } as const;
    assert.deepEqual(apply([2, 4, 4, 4, 5, 5, 7, 9], own), [-1.5, -0.5, -0.5, -0.5, 0, 0, 1, 2]);
    assert.deepEqual(apply([0, 3, 5, 0], { ...own, nonzero: true }), [0, -1, 1, 0]);
    assert.deepEqual(apply([7, 9], { ...own, subtrahend: 1, divisor: 2 }), [3, 4]);
    assert.deepEqual(apply([6, 6], own), [0, 0]);
  });

  it('make the grid of MONAI for other voxel sizes: first centre kept, halves to even', () => {
    const grid = spacedGrid({ shape: [5, 6, 7], affine: [-1, 0, 0, 10, 0, 1, 0, 20, 0, 0, 1, 30] }, [2, 2, null]);
    assert.deepEqual(grid.shape, [3, 3, 7]);
    assert.deepEqual(grid.affine, [-2, 0, 0, 10, 0, 2, 0, 20, 0, 0, 1, 30]);
  });

  it('crop to what is above zero, and keep the place in the world', () => {
    const image = volumeOf([4, 3, 2], (at) => (at === 6 || at === 17 ? 1 : -1), [2, 0, 0, 5, 0, 2, 0, 6, 0, 0, 2, 7]);
    const { geometry, data } = prepareVolume(image, [{ kind: 'crop-foreground', margin: [1, 0, 0] }]);
    assert.deepEqual(geometry.shape, [4, 1, 2], 'columns 1 and 2 with a margin of 1');
    assert.deepEqual(geometry.affine, [2, 0, 0, 5, 0, 2, 0, 8, 0, 0, 2, 7]);
    assert.deepEqual([...data], [-1, -1, 1, -1, -1, 1, -1, -1]);
  });
});

describe('steps after the network', () => {
  const GRID: Geometry = { shape: [3, 1, 1], affine: IDENTITY };
  const scores = (...channels: number[][]) => ({
    geometry: GRID,
    channels: channels.map((values) => Float32Array.from(values)),
  });

  it('make labels of channels', () => {
    const two = scores([0.1, 3, 0], [0.2, -1, 0]);
    assert.deepEqual([...finishMask(two, [{ kind: 'argmax' }], GRID).data], [1, 0, 0]);
    assert.deepEqual(
      [...finishMask(two, [{ kind: 'activate', by: 'softmax' }, { kind: 'argmax' }], GRID).data],
      [1, 0, 0],
    );
    const one = scores([-1, 0, 2]);
    assert.deepEqual([...finishMask(one, [{ kind: 'threshold', at: 0 }], GRID).data], [0, 1, 1]);
    const sigmoid = [
      { kind: 'activate', by: 'sigmoid' },
      { kind: 'threshold', at: 0.51 },
    ] as const;
    assert.deepEqual([...finishMask(one, sigmoid, GRID).data], [0, 0, 1]);
    assert.throws(() => finishMask(two, [{ kind: 'threshold', at: 0 }], GRID), {
      code: 'unsupported',
      message: /2 output channels/,
    });
    assert.throws(() => finishMask(one, [{ kind: 'argmax' }], GRID), { code: 'unsupported' });
  });

  it('keep of each label the largest part alone, as a flood fill finds it', () => {
    const masks = lengths(5).chain((shape) =>
      fc.record({
        shape: fc.constant(shape),
        data: fc.uint8Array({ minLength: voxelsOf(shape), maxLength: voxelsOf(shape), max: 3 }),
        connectivity: fc.constantFrom(1, 2, 3) as fc.Arbitrary<1 | 2 | 3>,
        independent: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(masks, ({ shape, data, connectivity, independent }) => {
        const mask: Mask = { geometry: { shape, affine: IDENTITY }, data };
        const kept = keepLargest(mask, { kind: 'largest-component', labels: null, independent, connectivity });
        for (const group of independent ? [[1], [2], [3]] : [[1, 2, 3]]) {
          const parts = partsOf(mask, group, connectivity);
          const largest = Math.max(0, ...parts.map(({ size }) => size));
          const left = parts.filter((part) => [...part].some((at) => kept.data[at] !== 0));
          assert.equal(left.length, parts.length === 0 ? 0 : 1);
          if (left.length === 1) {
            assert.equal(left[0].size, largest);
            for (const at of left[0]) assert.equal(kept.data[at], data[at]);
          }
        }
      }),
    );
  });

  /** Written another way than the code: merges sets until nothing changes. */
  function partsOf({ geometry: { shape }, data }: Mask, group: readonly number[], connectivity: number): Set<number>[] {
    const [ni, nj] = shape;
    const place = (at: number) => [at % ni, Math.floor(at / ni) % nj, Math.floor(at / (ni * nj))];
    const near = (a: number, b: number) => {
      const steps = place(a).map((index, axis) => Math.abs(index - place(b)[axis]));
      return Math.max(...steps) === 1 && steps.filter((step) => step === 1).length <= connectivity;
    };
    let parts: Set<number>[] = [];
    for (const [at, label] of data.entries()) {
      if (!group.includes(label)) continue;
      const touching = parts.filter((part) => [...part].some((other) => near(at, other)));
      parts = parts.filter((part) => !touching.includes(part));
      parts.push(new Set([at, ...touching.flatMap((part) => [...part])]));
    }
    return parts;
  }
});

describe('a whole pipeline', () => {
  const angle = fc.double({ min: -0.5, max: 0.5, noNaN: true });
  const codes = fc.constantFrom('RAS', 'LPS', 'SAR', 'ILP', 'PIR', 'ASL');

  it('answers on the grid of the volume, voxel for voxel, for any oblique or flipped grid', async () => {
    await fc.assert(
      fc.asyncProperty(
        lengths(6),
        fc.tuple(angle, angle),
        fc.tuple(fc.constantFrom(1, -1), fc.constantFrom(1, -1)),
        codes,
        async (shape, [turn, tilt], [flipI, flipK], axcodes) => {
          const [c, s, d, t] = [Math.cos(turn), Math.sin(turn), Math.cos(tilt), Math.sin(tilt)];
          const affine: Affine = [
            flipI * c,
            -1.5 * s * d,
            flipK * 3 * s * t,
            12,
            flipI * s,
            1.5 * c * d,
            flipK * -3 * c * t,
            -7,
            0,
            1.5 * t,
            flipK * 3 * d,
            4,
          ];
          const volume = volumeOf(shape, (at) => ((at * 31) % 23) - 11, affine);
          const mask = await segmentBy(
            pointwise((value) => [5 - value, value], 2),
            {
              pre: [
                { kind: 'orient', axcodes },
                { kind: 'crop-foreground', margin: [0, 0, 0] },
              ],
              window: { roi: [3, 3, 3], overlap: 0.5, blending: 'gaussian' },
              overlap: 0.5,
              post: [{ kind: 'argmax' }],
              told: {},
            },
            volume,
          );
          assert.deepEqual(mask.geometry, volume.geometry);
          assert.deepEqual(
            [...mask.data],
            [...volume.data].map((value) => (value > 5 - value ? 1 : 0)),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('brings a mask back from another spacing to where it was', async () => {
    const volume = volumeOf([24, 20, 16], (at) => {
      const [i, j, k] = [at % 24, Math.floor(at / 24) % 20, Math.floor(at / 480)];
      return (i - 12) ** 2 + (j - 9) ** 2 + (k - 8) ** 2 < 36 ? 100 : -100;
    });
    const steps = { pre: [{ kind: 'space', pixdim: [1.5, 1.5, 1.5] }], window: null, overlap: 0, told: {} } as const;
    const mask = await segmentBy(
      pointwise((value) => [value]),
      {
        ...steps,
        post: [
          { kind: 'restore', method: 'linear' },
          { kind: 'threshold', at: 0 },
        ],
      },
      volume,
    );
    let both = 0;
    let either = 0;
    for (const [at, value] of volume.data.entries()) {
      both += value > 0 && mask.data[at] === 1 ? 1 : 0;
      either += value > 0 || mask.data[at] === 1 ? 1 : 0;
    }
    assert.ok(both / either > 0.9, `overlap ${both / either}`);
  });
});
