import assert from 'node:assert/strict';
import { segmentByExtremePoints } from '../../annotation/extreme-points';
import { ClaraError } from '../../base/errors';
import { seededRandom } from '../../base/random';
import { invertAffine, reorient, toWorld } from '../../imaging/geometry';
import { dice } from '../../imaging/metrics';
import { makePhantom } from '../../imaging/phantom';
import { resampleMaskTo, resampleTo, resampleToSpacing } from '../../imaging/resample';
import type { Geometry, Mask, Shape3, Volume } from '../../imaging/volume';
import { extremesOf, type LabelledCt, realCt } from './real-ct';

/** A bright slanted ellipsoid in noise, with a bone of the same size beside it. */
function ball(): { image: Volume<Int16Array>; truth: Mask } {
  const shape: Shape3 = [40, 36, 30];
  const geometry: Geometry = { shape, affine: [2, 0, 0, -30, 0, 2, 0, 10, 0, 0, 3, 5] };
  const random = seededRandom(7);
  const truth = new Uint8Array(shape[0] * shape[1] * shape[2]);
  const data = new Int16Array(truth.length);
  let at = 0;
  for (let k = 0; k < shape[2]; k += 1) {
    for (let j = 0; j < shape[1]; j += 1) {
      for (let i = 0; i < shape[0]; i += 1, at += 1) {
        const x = (i - 18 + 0.5 * (j - 18)) / 9;
        truth[at] = x * x + ((j - 18) / 11) ** 2 + ((k - 14) / 7) ** 2 < 1 ? 1 : 0;
        data[at] = Math.round((truth[at] ? 90 : 0) + (i > 34 ? 300 : 0) + 15 * random.normal());
      }
    }
  }
  return { image: { geometry, data }, truth: { geometry, data: truth } };
}

/** An organ and a larger neighbour of the same tissue, with 4 mm of fat between them. */
function twins(): { image: Volume<Int16Array>; truth: Mask } {
  const shape: Shape3 = [40, 40, 40];
  const geometry: Geometry = { shape, affine: [3, 0, 0, 0, 0, 3, 0, 0, 0, 0, 3, 0] };
  const random = seededRandom(3);
  const truth = new Uint8Array(shape[0] * shape[1] * shape[2]);
  const data = Int16Array.from(truth, (_, at) => {
    const [i, j, k] = [at % 40, Math.floor(at / 40) % 40, Math.floor(at / 1600)];
    const level = ((i - 15) / 10) ** 2 + ((j - 20) / 9) ** 2 + ((k - 22) / 11) ** 2;
    truth[at] = level < 1 ? 1 : 0;
    const neighbour = level > 1.28 && i + j > 38;
    return Math.round((truth[at] || neighbour ? 45 : -90) + 12 * random.normal());
  });
  return { image: { geometry, data }, truth: { geometry, data: truth } };
}

describe('segmenting by extreme points', () => {
  const { image, truth } = ball();
  const points = extremesOf(truth, 0.5);

  it('finds what the points surround, and the same for the same input', async () => {
    const mask = await segmentByExtremePoints(image, points);
    assert.ok(dice(truth.data, mask.data) > 0.93, `Dice ${dice(truth.data, mask.data)}`);
    assert.deepEqual(mask.geometry, image.geometry);
    assert.deepEqual((await segmentByExtremePoints(image, [...points].reverse())).data, mask.data);
  });

  it('gives the same answer in whatever order the volume stores its axes', async () => {
    const mask = await segmentByExtremePoints(image, points);
    for (const code of ['LPS', 'SAR', 'PIL']) {
      const turned = reorient(image, code);
      const toIndex = invertAffine(turned.geometry.affine);
      const moved = points.map((point) => {
        const [i, j, k] = toWorld(toIndex, toWorld(image.geometry.affine, point)).map(Math.round);
        return [i, j, k] as const;
      });
      const answer = await segmentByExtremePoints(turned, moved);
      assert.deepEqual(reorient(answer, 'RAS').data, mask.data, code);
    }
  });

  it('stays within 7 mm of the box of the points, in one piece that holds the middle of them', async () => {
    const mask = await segmentByExtremePoints(image, points);
    const spacing = [2, 2, 3];
    const reach = (end: 'min' | 'max', axis: number): number => Math[end](...points.map((point) => point[axis]));
    for (const point of extremesOf(mask)) {
      point.forEach((index, axis) => {
        const outside = Math.max(reach('min', axis) - index, index - reach('max', axis)) * spacing[axis];
        assert.ok(outside <= 7 + spacing[axis] / 2, `${point}`);
      });
    }
    assert.equal(mask.data[(14 * 36 + 18) * 40 + 18], 1);
  });

  it('takes more points than six, and one that lies a voxel beyond the last slice', async () => {
    const open: Volume = { geometry: image.geometry, data: image.data };
    const answer = await segmentByExtremePoints(open, [...points, [18, 18, 7]]);
    assert.ok(dice(truth.data, answer.data) > 0.9);
    const beyond = points.map((point, at): Shape3 => (at === 5 ? [point[0], point[1], 30] : point));
    assert.ok((await segmentByExtremePoints(open, beyond)).data.includes(1));
  });

  it('refuses too few points, points outside, and points in one place', async () => {
    const refused = async (given: readonly Shape3[], sentence: RegExp) => {
      const error = await segmentByExtremePoints(image, given).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof ClaraError && error.code === 'invalid-input', String(error));
      assert.match(error.message, sentence);
    };
    await refused(points.slice(1), /5 extreme points; give six or more/);
    await refused([...points, [41, 0, 0]], /\[41, 0, 0\] lies outside the volume of 40 x 36 x 30 voxels/);
    await refused([...points, [1, -1, 0]], /lies outside/);
    await refused(Array(6).fill([5, 5, 5]), /the same voxel/);
  });

  it('takes voxels without a value for air, and refuses those of a wrong unit', async () => {
    const cut = (value: number): Volume => ({
      geometry: image.geometry,
      data: Float32Array.from(image.data, (hu, voxel) => (voxel % 40 > 34 ? value : hu)),
    });
    const mask = await segmentByExtremePoints(cut(Number.NaN), points);
    assert.ok(mask.data.includes(1));
    assert.deepEqual(mask.data, (await segmentByExtremePoints(cut(-1024), points)).data);
    const affine = image.geometry.affine.map((value) => value / 1000) as unknown as Geometry['affine'];
    const tiny: Volume = { geometry: { ...image.geometry, affine }, data: image.data };
    await assert.rejects(segmentByExtremePoints(tiny, points), { code: 'invalid-input', message: /check the unit/ });
  });

  it('stops when it is told to', async () => {
    const signal = AbortSignal.abort(new ClaraError('cancelled', 'The client has left.'));
    await assert.rejects(segmentByExtremePoints(image, points, { signal }), /has left/);
  });

  it('finds the spleen of phantoms of different scanners', async () => {
    for (const [seed, style] of [
      [3, { noise: 25 }],
      [4, { noise: 40, shift: -20, contrast: 0.9 }],
    ] as const) {
      const { image: phantom, label } = makePhantom(seed, style);
      const mask = await segmentByExtremePoints(phantom, extremesOf(label, 0.5));
      const overlap = dice(label.data, mask.data);
      assert.ok(overlap > 0.85, `phantom ${seed}: Dice ${overlap}`);
    }
  });

  it('keeps out of a neighbour of the same tissue behind a thin layer of fat', async () => {
    const { image: scene, truth: organ } = twins();
    const mask = await segmentByExtremePoints(scene, extremesOf(organ, 0.5));
    assert.ok(dice(organ.data, mask.data) > 0.93, `Dice ${dice(organ.data, mask.data)}`);
  });

  it('goes on to the end of the volume from a point that misses it by two slices', async () => {
    const { image: scene, truth: organ } = twins();
    const cutAt = 22; // through the middle of the organ
    const lower = <Voxels extends Int16Array | Uint8Array>({
      geometry,
      data,
    }: {
      geometry: Geometry;
      data: Voxels;
    }) => ({
      geometry: { ...geometry, shape: [40, 40, cutAt] as const },
      data: data.slice(0, 40 * 40 * cutAt) as Voxels,
    });
    const points = extremesOf(lower(organ), 0.5).map(([i, j, k]): Shape3 => [i, j, Math.min(k, cutAt - 3)]);
    const mask = await segmentByExtremePoints(lower(scene), points);
    const overlap = dice(lower(organ).data, mask.data);
    assert.ok(overlap > 0.93, `Dice ${overlap}`);
    assert.ok(mask.data.subarray(40 * 40 * (cutAt - 1)).includes(1), 'nothing in the last slice');
  });

  describe('of a real CT', () => {
    let real: LabelledCt;
    before(async function () {
      const found = await realCt();
      if (found === undefined) this.skip();
      else real = found;
    });

    for (const [name, label, least] of [
      ['spleen', 1, 0.93],
      ['left kidney', 3, 0.92],
      ['right kidney', 2, 0.9],
      ['liver', 5, 0.9],
    ] as const) {
      it(`finds the ${name}: Dice ${least} or more, and nearly that from other voxels of the same faces`, async () => {
        const organ = real.organ(label);
        const found = async (pick: number): Promise<number> =>
          dice(organ.data, (await segmentByExtremePoints(real.ct, extremesOf(organ, pick))).data);
        const [first, other] = [await found(0), await found(0.7)];
        assert.ok(first >= least, `Dice ${first}`);
        assert.ok(other >= least - 0.02, `Dice ${other} from other voxels`);
      });
    }

    it('finds all four on another grid that runs the other way: Dice 0.88 or more', async () => {
      const other = reorient(resampleToSpacing(real.ct, [2, 2, 5]), 'LPS');
      for (const label of [1, 2, 3, 5]) {
        const organ = resampleMaskTo(real.organ(label), other.geometry, 'linear');
        const overlap = dice(organ.data, (await segmentByExtremePoints(other, extremesOf(organ))).data);
        assert.ok(overlap >= 0.88, `Dice ${overlap} of label ${label}`);
      }
    });

    it('finds a stomach, whose content is of several tissues: Dice 0.88 or more', async () => {
      const organ = real.organ(6);
      const overlap = dice(organ.data, (await segmentByExtremePoints(real.ct, extremesOf(organ))).data);
      assert.ok(overlap >= 0.88, `Dice ${overlap}`);
    });

    it('finds both kidneys under noise of 25 HU more: Dice 0.87 or more', async () => {
      const random = seededRandom(12);
      const data = Float32Array.from(real.ct.data, (hu) => hu + 25 * random.normal());
      for (const label of [2, 3]) {
        const organ = real.organ(label);
        const noisy = { geometry: real.ct.geometry, data };
        const overlap = dice(organ.data, (await segmentByExtremePoints(noisy, extremesOf(organ))).data);
        assert.ok(overlap >= 0.87, `Dice ${overlap} of label ${label}`);
      }
    });

    it('finds the liver from points that all lie 6 mm too far in: Dice 0.85 or more', async () => {
      const organ = real.organ(5);
      const points = extremesOf(organ, 0.5);
      const middle = [0, 1, 2].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
      const inner = points.map((point, at): Shape3 => {
        const moved = [...point] as [number, number, number];
        moved[at >> 1] += 2 * Math.sign(middle[at >> 1] - point[at >> 1]);
        return moved;
      });
      const overlap = dice(organ.data, (await segmentByExtremePoints(real.ct, inner)).data);
      assert.ok(overlap >= 0.85, `Dice ${overlap}`);
    });

    it('finds the spleen in what clients crop and resample to 128 x 128 x 128', async () => {
      const organ = real.organ(1);
      const points = extremesOf(organ);
      const { shape, affine } = real.ct.geometry;
      const pad = Math.floor(20 / 3);
      const first = [0, 1, 2].map((axis) => Math.max(0, Math.min(...points.map((point) => point[axis])) - pad));
      const last = [0, 1, 2].map((axis) =>
        Math.min(shape[axis] - 1, Math.max(...points.map((point) => point[axis])) + pad),
      );
      const step = first.map((index, axis) => (last[axis] - index) / 128); // the client leaves the last voxel out
      const origin = toWorld(affine, [first[0], first[1], first[2]]);
      const target: Geometry = {
        shape: [128, 128, 128],
        affine: [3 * step[0], 0, 0, origin[0], 0, 3 * step[1], 0, origin[1], 0, 0, 3 * step[2], origin[2]],
      };
      const moved = points.map((point): Shape3 => {
        const [i, j, k] = point.map((index, axis) => Math.trunc((index - first[axis]) / step[axis]));
        return [i, j, k];
      });
      const mask = await segmentByExtremePoints(resampleTo(real.ct, target), moved);
      const overlap = dice(resampleMaskTo(mask, real.ct.geometry).data, organ.data);
      assert.ok(overlap >= 0.88, `Dice ${overlap}`);
    });
  });
});
