import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Clicks, segmentByClicks } from '../../annotation/deepgrow';
import { nextClick } from '../../annotation/simulated-clicks';
import { ClaraError } from '../../base/errors';
import { seededRandom } from '../../base/random';
import { dice } from '../../imaging/metrics';
import { makePhantom } from '../../imaging/phantom';
import { chooseSlices } from '../../imaging/slice-image';
import type { Mask, Shape3, Volume } from '../../imaging/volume';
import { type LabelledCt, realCt } from './real-ct';

const SHAPE: Shape3 = [32, 30, 20];
const { image, label } = makePhantom(5, { shape: SHAPE });

const clickArbitrary = fc.tuple(fc.nat(SHAPE[0] - 1), fc.nat(SHAPE[1] - 1), fc.nat(SHAPE[2] - 1));

const isWithin = (inner: Mask, outer: Mask): boolean =>
  inner.data.every((value, at) => value === 0 || outer.data[at] !== 0);

const answer = async (volume: Volume, clicks: Clicks, slice?: number): Promise<Mask> =>
  (await segmentByClicks(volume, clicks, { slice })).mask;

/** Two tissues with noise, one of them round the middle, on an oblique grid. */
function noisyVolume(
  shape: Shape3,
  { spacing: [x, y, z], angle, seed }: { spacing: readonly number[]; angle: number; seed: number },
): Volume {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const random = seededRandom(seed);
  const data = Float32Array.from({ length: shape[0] * shape[1] * shape[2] }, (_, at) => {
    const place = [at % shape[0], Math.floor(at / shape[0]) % shape[1], Math.floor(at / (shape[0] * shape[1]))];
    const away = Math.hypot(...place.map((index, axis) => index - shape[axis] / 2));
    return (away < 3.5 ? 100 : -20) + 60 * (random.uniform() - 0.5);
  });
  return { geometry: { shape, affine: [c * x, -s * y, 0, 5, s * x, c * y, 0, -7, 0, 0, z, 3] }, data };
}

/** A conversation of so many clicks, and the agreement with the truth after each. */
async function converse(volume: Volume, truth: Mask, count: number, slice?: number): Promise<number[]> {
  const foreground: Shape3[] = [];
  const background: Shape3[] = [];
  const reached: number[] = [];
  let mask: Mask = { geometry: truth.geometry, data: new Uint8Array(truth.data.length) };
  for (let round = 0; round < count; round += 1) {
    const click = nextClick(truth, mask, slice);
    if (click === undefined) break;
    (click.foreground ? foreground : background).push(click.at);
    mask = await answer(volume, { foreground, background }, slice);
    reached.push(dice(truth.data, mask.data));
  }
  return reached;
}

describe('segmenting by clicks', () => {
  it('never loses by a foreground click and never gains by a background click', async () => {
    const clicks = fc.array(clickArbitrary, { maxLength: 3 });
    const property = fc.asyncProperty(
      fc.array(clickArbitrary, { minLength: 1, maxLength: 3 }),
      clicks,
      clickArbitrary,
      fc.boolean(),
      async (foreground, background, more, flat) => {
        const slice = flat ? foreground[0][2] : undefined;
        const before = await answer(image, { foreground, background }, slice);
        const wider = await answer(image, { foreground: [more, ...foreground], background }, slice);
        const narrower = await answer(image, { foreground, background: [more, ...background] }, slice);
        assert.ok(isWithin(before, wider), 'a foreground click removed something');
        assert.ok(isWithin(narrower, before), 'a background click added something');
      },
    );
    await fc.assert(property, { numRuns: 15 });
  });

  it('holds every foreground click and leaves every background click out through a whole conversation, on any grid', async () => {
    const shape: Shape3 = [11, 10, 9];
    const voxel = fc.tuple(fc.nat(10), fc.nat(9), fc.nat(8));
    const step = fc.constantFrom(0.7, 1, 2, 2.5, 5);
    const grids = fc.record({
      spacing: fc.tuple(step, step, step),
      angle: fc.constantFrom(0, 0.3, Math.PI),
      seed: fc.nat(1000),
    });
    const clicks = fc.array(fc.tuple(voxel, fc.boolean()), { minLength: 1, maxLength: 5 });
    const property = fc.asyncProperty(grids, voxel, clicks, fc.boolean(), async (grid, first, later, flat) => {
      const volume = noisyVolume(shape, grid);
      const slice = flat ? first[2] : undefined;
      const foreground: Shape3[] = [first];
      const background: Shape3[] = [];
      let before = await answer(volume, { foreground, background }, slice);
      for (const [at, isForeground] of later) {
        (isForeground ? foreground : background).push(at);
        const mask = await answer(volume, { foreground, background }, slice);
        const [inner, outer] = isForeground ? [before, mask] : [mask, before];
        assert.ok(isWithin(inner, outer), 'a click undid something');
        const valueAt = ([i, j, k]: Shape3) => mask.data[(k * shape[1] + j) * shape[0] + i];
        const isLooked = ([, , k]: Shape3) => slice === undefined || k === slice;
        for (const click of background) assert.equal(valueAt(click), 0, `background click ${click}`);
        for (const click of foreground.filter(isLooked)) {
          const isBoth = background.some((other) => other.join() === click.join());
          assert.equal(valueAt(click), isBoth ? 0 : 1, `foreground click ${click}`);
        }
        before = mask;
      }
    });
    const fine = { spacing: [1, 1, 1] as [number, number, number], angle: 0, seed: 0 };
    const beside: Shape3[] = [
      [4, 5, 4],
      [6, 5, 4],
      [5, 4, 4],
      [5, 6, 4],
    ];
    const sameVoxel = [[[5, 5, 4], false]] as [Shape3, boolean][];
    const surrounded = beside.map((at): [Shape3, boolean] => [at, false]);
    await fc.assert(property, {
      numRuns: 60,
      examples: [
        [fine, [5, 5, 4], sameVoxel, false],
        [fine, [5, 5, 4], surrounded, false],
        [fine, [5, 5, 4], surrounded, true],
      ],
    });
  });

  it('fills one slice alone in 2D, whatever was clicked in others', async () => {
    const { at } = nextClick(label, { geometry: label.geometry, data: new Uint8Array(label.data.length) })!;
    const elsewhere: Shape3 = [at[0], at[1], at[2] + 1];
    const mask = await answer(image, { foreground: [elsewhere, at], background: [elsewhere] }, at[2]);
    const plane = SHAPE[0] * SHAPE[1];
    mask.data.forEach((value, voxel) => {
      assert.ok(value === 0 || Math.floor(voxel / plane) === at[2]);
    });
    assert.ok(mask.data.includes(1));
    assert.deepEqual(mask.data, (await answer(image, { foreground: [at], background: [] }, at[2])).data);
  });

  it('refuses clicks outside, and no click on the structure', async () => {
    const refused = async (clicks: Clicks, sentence: RegExp, slice?: number) => {
      const error = await segmentByClicks(image, clicks, { slice }).catch((thrown: unknown) => thrown);
      assert.ok(error instanceof ClaraError && error.code === 'invalid-input', String(error));
      assert.match(error.message, sentence);
    };
    await refused({ foreground: [], background: [[1, 1, 1]] }, /no foreground click; click at least once/);
    await refused({ foreground: [[1, 1, 1]], background: [] }, /no foreground click in slice 4/, 4);
    await refused({ foreground: [[99, 1, 1]], background: [] }, /foreground click \[99, 1, 1\] lies outside/);
    await refused({ foreground: [[1, 1, 1]], background: [[1, 99, 1]] }, /background click \[1, 99, 1\] lies outside/);
  });

  it('takes voxels without a value for air', async () => {
    const { at } = nextClick(label, { geometry: label.geometry, data: new Uint8Array(label.data.length) })!;
    const cut = (value: number): Volume => ({
      geometry: image.geometry,
      data: Float32Array.from(image.data, (hu, voxel) => (voxel % SHAPE[0] < 4 ? value : hu)),
    });
    const clicks = { foreground: [at], background: [] };
    const mask = await answer(cut(Number.NaN), clicks);
    assert.ok(mask.data.includes(1));
    assert.deepEqual(mask.data, (await answer(cut(-1024), clicks)).data);
  });

  it('refuses voxels that are no patient’s, such as those of a file in a wrong unit', async () => {
    const um = image.geometry.affine.map((value) => value / 1000) as unknown as typeof image.geometry.affine;
    const tiny: Volume = { geometry: { shape: SHAPE, affine: um }, data: image.data };
    await assert.rejects(answer(tiny, { foreground: [[5, 5, 5]], background: [] }), {
      code: 'invalid-input',
      message: /voxels of 0.01 x [0-9.]+ x [0-9.]+ mm; .* check the unit/,
    });
  });

  it('looks at a box that holds the whole answer', async () => {
    const { at } = nextClick(label, { geometry: label.geometry, data: new Uint8Array(label.data.length) })!;
    const { mask, box } = await segmentByClicks(image, { foreground: [at], background: [] });
    mask.data.forEach((value, voxel) => {
      if (value === 0) return;
      const index = [
        voxel % SHAPE[0],
        Math.floor(voxel / SHAPE[0]) % SHAPE[1],
        Math.floor(voxel / (SHAPE[0] * SHAPE[1])),
      ];
      assert.ok(index.every((i, axis) => i >= box.first[axis] && i <= box.last[axis]));
    });
  });

  describe('of a real CT', () => {
    let real: LabelledCt;
    before(async function () {
      const found = await realCt();
      if (found === undefined) this.skip();
      else real = found;
    });

    it('finds the spleen with at most five clicks: Dice 0.88 or more', async () => {
      const reached = await converse(real.ct, real.organ(1), 5);
      assert.ok(Math.max(...reached) >= 0.88, `Dice ${reached}`);
      assert.ok(reached[reached.length - 1] >= 0.88, `Dice ${reached}`);
    });

    it('finds a slice of each organ with at most ten clicks: Dice 0.9 or more', async () => {
      for (const label of [1, 2, 3, 5]) {
        const { geometry, data } = real.organ(label);
        const { axial } = chooseSlices({ geometry, data });
        const plane = geometry.shape[0] * geometry.shape[1];
        const inSlice = data.map((value, at) => (Math.floor(at / plane) === axial ? value : 0));
        const reached = await converse(real.ct, { geometry, data: inSlice }, 10, axial);
        assert.ok(Math.max(...reached) >= 0.9, `Dice ${reached} of label ${label}`);
      }
    });
  });
});
