import assert from 'node:assert/strict';
import { orientationOf, spacingOf, toWorld } from '../../imaging/geometry';
import { makePhantom, PHANTOM_SITE_STYLES } from '../../imaging/phantom';
import type { Volume } from '../../imaging/volume';

function meanAndDeviation(values: number[]): { mean: number; deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, deviation: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) };
}

/** World positions of all voxels that `keep` wants, averaged. */
function centroid({ geometry, data }: Volume, keep: (value: number) => boolean): readonly number[] {
  const [ni, nj] = geometry.shape;
  const sum = [0, 0, 0];
  let count = 0;
  data.forEach((value, at) => {
    if (!keep(value)) return;
    const position = toWorld(geometry.affine, [at % ni, Math.floor(at / ni) % nj, Math.floor(at / ni / nj)]);
    for (const axis of [0, 1, 2]) sum[axis] += position[axis];
    count += 1;
  });
  return sum.map((value) => value / count);
}

const SEEDS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

describe('a phantom', () => {
  it('is the same for the same seed and options, and another for another seed', () => {
    const first = makePhantom(7, { noise: 20 });
    assert.deepEqual(makePhantom(7, { noise: 20 }), first);
    assert.notDeepEqual(makePhantom(8, { noise: 20 }).label.data, first.label.data);
  });

  it('is one patient whatever the scanner', () => {
    const labels = PHANTOM_SITE_STYLES.map((style) => makePhantom(3, style).label);
    for (const label of labels) assert.deepEqual(label, labels[0]);
  });

  it('has 64 x 64 x 48 voxels with RAS axes around the origin, or the grid asked for', () => {
    const { image, label } = makePhantom(1);
    assert.deepEqual(image.geometry.shape, [64, 64, 48]);
    assert.deepEqual(label.geometry, image.geometry);
    assert.equal(orientationOf(image.geometry), 'RAS');
    assert.deepEqual(toWorld(image.geometry.affine, [31.5, 31.5, 23.5]), [0, 0, 0]);
    const other = makePhantom(1, { shape: [20, 30, 10], spacing: [9, 6, 12] }).image;
    assert.deepEqual(other.geometry.shape, [20, 30, 10]);
    assert.deepEqual(spacingOf(other.geometry), [9, 6, 12]);
  });

  it("has its spleen on the patient's left and its spine at the back", () => {
    for (const seed of SEEDS) {
      const { image, label } = makePhantom(seed, { noise: 0 });
      const spleen = centroid(label, (value) => value === 1);
      assert.ok(spleen[0] < -40, `the spleen lies at x = ${spleen[0]} mm, and RAS x grows to the right`);
      const [ni, nj] = image.geometry.shape;
      let [bone, boneAt, soft, softAt] = [0, 0, 0, 0];
      image.data.forEach((value, at) => {
        const [i, j] = [at % ni, Math.floor(at / ni) % nj];
        // The ribs lie farther out.
        if (Math.hypot(i - 31.5, j - 31.5) >= 22) return;
        if (value > 230) [bone, boneAt] = [bone + 1, boneAt + j];
        if (value > 40 && value < 80) [soft, softAt] = [soft + 1, softAt + i];
      });
      assert.ok(bone > 100 && boneAt / bone < 25, 'the spine lies behind the middle');
      assert.ok(soft > 0 && softAt / soft > 32, 'the liver lies to the right');
    }
  });

  it('has a spleen of human size, of one density above the liver and its surroundings', () => {
    for (const seed of SEEDS) {
      const { image, label } = makePhantom(seed);
      const inside = [...image.data].filter((_, at) => label.data[at] === 1);
      const millilitres = (inside.length * 125) / 1000;
      assert.ok(millilitres > 120 && millilitres < 900, `${millilitres} ml`);
      const { mean, deviation } = meanAndDeviation(inside);
      assert.ok(mean > 95 && mean < 135, `${mean} HU`);
      assert.ok(deviation > 25 && deviation < 36, `${deviation} HU`);
    }
  });

  it('follows its style: noise, shift and contrast', () => {
    const spleen = (style: object): { mean: number; deviation: number } => {
      const { image, label } = makePhantom(5, style);
      return meanAndDeviation([...image.data].filter((_, at) => label.data[at] === 1));
    };
    const reference = spleen({ noise: 20 });
    assert.ok(Math.abs(spleen({ noise: 20, shift: 15 }).mean - reference.mean - 15) < 0.5);
    assert.ok(Math.abs(spleen({ noise: 20, contrast: 0.8 }).mean - reference.mean + 0.2 * 115) < 0.5);
    assert.ok(spleen({ noise: 45 }).deviation > reference.deviation + 15);
  });

  it('comes in at least five styles, no two alike', () => {
    const styles = PHANTOM_SITE_STYLES.map(({ noise, shift, contrast }) => [noise, shift, contrast].join());
    assert.ok(styles.length >= 5);
    assert.equal(new Set(styles).size, styles.length);
  });

  it('refuses a grid that cannot be', () => {
    for (const options of [{ shape: [0, 4, 4] }, { shape: [4, 4, 2.5] }, { spacing: [1, -1, 1] }] as const) {
      assert.throws(() => makePhantom(1, options), { code: 'invalid-input' });
    }
  });
});
