import assert from 'node:assert/strict';
import fc from 'fast-check';
import { squaredDistances } from '../../imaging/distance-transform';
import { dice, surfaceDistances } from '../../imaging/metrics';
import type { Mask, Shape3, Vector3 } from '../../imaging/volume';

const shape = fc.tuple(...[0, 1, 2].map(() => fc.integer({ min: 1, max: 7 }))) as unknown as fc.Arbitrary<Shape3>;
const step = fc.double({ min: 0.3, max: 5, noNaN: true });
const spacing = fc.tuple(step, step, step) as unknown as fc.Arbitrary<Vector3>;

function voxels(size: Shape3): fc.Arbitrary<number[]> {
  const count = size[0] * size[1] * size[2];
  return fc.array(fc.constantFrom(0, 0, 0, 1), { minLength: count, maxLength: count });
}

function maskOf(size: Shape3, [x, y, z]: Vector3, data: readonly number[]): Mask {
  return { geometry: { shape: size, affine: [x, 0, 0, 0, 0, y, 0, 0, 0, 0, z, 0] }, data: Uint8Array.from(data) };
}

type Point = readonly [number, number, number];

function pointsOf(data: ArrayLike<number>, size: Shape3, keep: (i: number, j: number, k: number) => boolean): Point[] {
  const points: Point[] = [];
  for (let at = 0; at < data.length; at += 1) {
    const [i, j, k] = [at % size[0], Math.floor(at / size[0]) % size[1], Math.floor(at / size[0] / size[1])];
    if (data[at] !== 0 && keep(i, j, k)) points.push([i, j, k]);
  }
  return points;
}

function distance(a: Point, b: Point, s: Vector3): number {
  return Math.hypot((a[0] - b[0]) * s[0], (a[1] - b[1]) * s[1], (a[2] - b[2]) * s[2]);
}

/** Surface voxels by definition, and distances between all pairs. */
function bruteForce(a: Mask, b: Mask, s: Vector3): { average: number; hausdorff95: number } {
  const surface = ({ geometry, data }: Mask): Point[] => {
    const [ni, nj, nk] = geometry.shape;
    const value = (i: number, j: number, k: number): number =>
      i < 0 || j < 0 || k < 0 || i >= ni || j >= nj || k >= nk ? 0 : data[(k * nj + j) * ni + i];
    return pointsOf(data, geometry.shape, (i, j, k) =>
      [
        value(i - 1, j, k),
        value(i + 1, j, k),
        value(i, j - 1, k),
        value(i, j + 1, k),
        value(i, j, k - 1),
        value(i, j, k + 1),
      ].includes(0),
    );
  };
  const [sa, sb] = [surface(a), surface(b)];
  const nearest = (from: Point[], to: Point[]): number[] =>
    from.map((p) => Math.min(...to.map((q) => distance(p, q, s)))).sort((x, y) => x - y);
  const [ab, ba] = [nearest(sa, sb), nearest(sb, sa)];
  const at95 = (sorted: number[]): number => {
    const position = 0.95 * (sorted.length - 1);
    const rest = position % 1;
    return sorted[Math.floor(position)] * (1 - rest) + sorted[Math.ceil(position)] * rest;
  };
  const all = [...ab, ...ba];
  return { average: all.reduce((x, y) => x + y) / all.length, hausdorff95: Math.max(at95(ab), at95(ba)) };
}

describe('Dice', () => {
  it('is the overlap by definition', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(2), fc.nat(2))), (pairs) => {
        const [a, b] = [pairs.map(([x]) => x), pairs.map(([, y]) => y)];
        const inA = new Set(a.flatMap((value, at) => (value > 0 ? [at] : [])));
        const inB = new Set(b.flatMap((value, at) => (value > 0 ? [at] : [])));
        const both = [...inA].filter((at) => inB.has(at)).length;
        const expected = inA.size + inB.size === 0 ? 1 : (2 * both) / (inA.size + inB.size);
        assert.equal(dice(a, b), expected);
      }),
    );
  });

  it('is 1 for two empty masks and 0 for one', () => {
    assert.equal(dice([0, 0], [0, 0]), 1);
    assert.equal(dice([0, 1], [0, 0]), 0);
  });

  it('refuses masks of different sizes', () => {
    assert.throws(() => dice([0], [0, 0]), { code: 'invalid-input' });
  });
});

describe('the distance transform', () => {
  it('agrees with the smallest of all distances', () => {
    fc.assert(
      fc.property(
        shape.chain((size) => fc.tuple(fc.constant(size), voxels(size), spacing)),
        ([size, data, s]) => {
          const features = pointsOf(data, size, () => true);
          const result = squaredDistances(data, size, s);
          for (const [at, point] of pointsOf(
            data.map(() => 1),
            size,
            () => true,
          ).entries()) {
            const expected = Math.min(
              Number.POSITIVE_INFINITY,
              ...features.map((feature) => distance(point, feature, s)),
            );
            const found = Math.sqrt(result[at]);
            assert.ok(found === expected || Math.abs(found - expected) < 1e-9, `${found} and ${expected}`);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('surface distances', () => {
  it('agree with all pairs of surface voxels', () => {
    fc.assert(
      fc.property(
        shape.chain((size) => fc.tuple(fc.constant(size), voxels(size), voxels(size), spacing)),
        ([size, first, second, s]) => {
          fc.pre(first.includes(1) && second.includes(1));
          const [a, b] = [maskOf(size, s, first), maskOf(size, s, second)];
          const found = surfaceDistances(a, b);
          const expected = bruteForce(a, b, s);
          assert.ok(found !== undefined);
          assert.ok(Math.abs(found.average - expected.average) < 1e-9);
          assert.ok(Math.abs(found.hausdorff95 - expected.hausdorff95) < 1e-9);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('count millimetres: two plates three slices of 2.5 mm apart', () => {
    const size: Shape3 = [2, 2, 5];
    const plate = (slice: number): Mask =>
      maskOf(
        size,
        [1, 1, 2.5],
        Array.from({ length: 20 }, (_, at) => (Math.floor(at / 4) === slice ? 1 : 0)),
      );
    assert.deepEqual(surfaceDistances(plate(0), plate(3)), { average: 7.5, hausdorff95: 7.5 });
  });

  it('are 0 between empty masks and undefined from an empty one', () => {
    const full = maskOf([2, 2, 2], [1, 1, 1], new Array<number>(8).fill(1));
    const empty = maskOf([2, 2, 2], [1, 1, 1], new Array<number>(8).fill(0));
    assert.deepEqual(surfaceDistances(empty, empty), { average: 0, hausdorff95: 0 });
    assert.equal(surfaceDistances(full, empty), undefined);
    assert.equal(surfaceDistances(empty, full), undefined);
  });

  it('refuse different grids and sheared ones', () => {
    const one = maskOf([2, 2, 2], [1, 1, 1], new Array<number>(8).fill(1));
    assert.throws(
      () => surfaceDistances(one, maskOf([2, 2, 2], [1, 1, 2], new Array<number>(8).fill(1))),
      /different grids/,
    );
    const sheared: Mask = { ...one, geometry: { shape: [2, 2, 2], affine: [1, 0, 0, 0, 0, 1, 0.5, 0, 0, 0, 1, 0] } };
    assert.throws(() => surfaceDistances(sheared, sheared), /sheared/);
  });
});
