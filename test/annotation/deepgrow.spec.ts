import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Clicks, segmentByClicks } from '../../annotation/deepgrow';
import { nextClick } from '../../annotation/simulated-clicks';
import { ClaraError } from '../../base/errors';
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

  it('holds the foreground clicks and leaves the background clicks out', async () => {
    const inside = nextClick(label, { geometry: label.geometry, data: new Uint8Array(label.data.length) })!.at;
    const beside: Shape3 = [2, 2, 2];
    const mask = await answer(image, { foreground: [inside], background: [beside] });
    const at = ([i, j, k]: Shape3): number => mask.data[(k * SHAPE[1] + j) * SHAPE[0] + i];
    assert.equal(at(inside), 1);
    assert.equal(at(beside), 0);
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
