import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hasCode } from '../../base/errors';
import { compose, IDENTITY, invert, toWorld } from '../../imaging/affine';
import {
  directionsOf,
  geometriesAgree,
  gridWithSpacing,
  orientationOf,
  originOf,
  reorient,
  requireRightAngles,
  restoreOrientation,
  spacingOf,
  toCanonical,
} from '../../imaging/geometry';
import type { Affine, Geometry, Vector3, Volume } from '../../imaging/volume';

const LPS_OBLIQUE: Affine = [-0.9, 0.1, 0, 100, -0.1, -0.9, 0, 80, 0, 0, 2, -300];
const CODES = ['RAS', 'LPS', 'LAS', 'PIR', 'SRA', 'ASL', 'IPL', 'RSA'];

function numbered(affine: Affine = LPS_OBLIQUE): Volume<Int16Array> {
  return { geometry: { shape: [3, 4, 5], affine }, data: Int16Array.from({ length: 60 }, (_, index) => index) };
}

/** Value by world position, which no reordering may change. */
function byPosition({ geometry, data }: Volume): Map<string, number> {
  const [ni, nj, nk] = geometry.shape;
  const found = new Map<string, number>();
  for (let k = 0; k < nk; k += 1) {
    for (let j = 0; j < nj; j += 1) {
      for (let i = 0; i < ni; i += 1) {
        const position = toWorld(geometry.affine, [i, j, k]).map((value) => Math.round(value * 1e6) + 0);
        found.set(position.join(), data[(k * nj + j) * ni + i]);
      }
    }
  }
  return found;
}

describe('the geometry of a grid', () => {
  it('tells spacing, directions and origin', () => {
    const geometry: Geometry = { shape: [2, 2, 2], affine: [0, -3, 0, 1, 2, 0, 0, 2, 0, 0, 4, 3] };
    assert.deepEqual(spacingOf(geometry), [2, 3, 4]);
    assert.deepEqual(directionsOf(geometry), [
      [0, 1, 0],
      [-1, 0, 0],
      [0, 0, 1],
    ]);
    assert.deepEqual(originOf(geometry), [1, 2, 3]);
    assert.equal(orientationOf(geometry), 'ALS');
  });

  it('names an oblique grid by its nearest axes', () => {
    assert.equal(orientationOf({ affine: LPS_OBLIQUE }), 'LPS');
    assert.equal(orientationOf({ affine: IDENTITY }), 'RAS');
  });

  it('names three different axes even where one direction wins twice', () => {
    // i and j both lean mostly to the right.
    const code = orientationOf({ affine: [1, 0.8, 0, 0, 0.1, 0.6, 0, 0, 0, 0, 1, 0] });
    assert.equal(code, 'RAS');
  });

  it('inverts an affine', () => {
    const element = fc.double({ min: -5, max: 5, noNaN: true });
    fc.assert(
      fc.property(fc.array(element, { minLength: 12, maxLength: 12 }), (values) => {
        const affine = values as unknown as Affine;
        let inverse: Affine;
        try {
          inverse = invert(affine);
        } catch (error) {
          assert.ok(hasCode(error, 'invalid-input'));
          return;
        }
        const point: Vector3 = [1, -2, 3];
        const largest = Math.max(...inverse.map(Math.abs), 1);
        toWorld(compose(inverse, affine), point).forEach((value, axis) => {
          assert.ok(Math.abs(value - point[axis]) < 1e-9 * largest, `${value} for ${point[axis]}`);
        });
      }),
    );
    assert.throws(() => invert([1e-310, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]), { code: 'invalid-input' });
    assert.throws(() => invert([1, 2, 0, 0, 2, 4, 0, 0, 0, 0, 1, 0]), { code: 'invalid-input' });
  });

  it('reorders voxels without moving any in the world, and back without loss', () => {
    for (const code of CODES) {
      const volume = numbered();
      const moved = reorient(volume, code);
      assert.equal(orientationOf(moved.geometry), code);
      assert.deepEqual(byPosition(moved), byPosition(volume));
      const back = restoreOrientation(moved, volume.geometry);
      assert.deepEqual(back.data, volume.data);
      assert.deepEqual(back.geometry.affine, volume.geometry.affine);
    }
  });

  it('leaves a canonical volume alone', () => {
    const volume = numbered(IDENTITY);
    assert.equal(toCanonical(volume), volume);
  });

  it('refuses a code that is none, and a way back to another grid', () => {
    for (const code of ['RAX', 'RLS', 'RA', 'RASL', '']) {
      assert.throws(() => reorient(numbered(), code), { code: 'invalid-input', message: /orientation/ });
    }
    assert.throws(() => restoreOrientation(numbered(), { shape: [3, 4, 5], affine: IDENTITY }), /does not lie/);
  });

  it('compares grids by where their voxels lie', () => {
    const { geometry } = numbered();
    const shifted = (by: number): Geometry => ({
      shape: geometry.shape,
      affine: geometry.affine.map((value, index) => (index === 3 ? value + by : value)) as unknown as Affine,
    });
    assert.ok(geometriesAgree(geometry, shifted(0.005)));
    assert.ok(!geometriesAgree(geometry, shifted(0.02)));
    assert.ok(!geometriesAgree(geometry, { ...geometry, shape: [3, 4, 6] }));
  });

  it('keeps the field of view and its centre when the spacing changes', () => {
    const geometry: Geometry = { shape: [100, 80, 40], affine: [-1, 0, 0, 50, 0, 1.5, 0, -60, 0, 0, 5, 0] };
    const grid = gridWithSpacing(geometry, [2, 2, 2]);
    assert.deepEqual(grid.shape, [50, 60, 100]);
    spacingOf(grid).forEach((value) => {
      assert.ok(Math.abs(value - 2) < 1e-9);
    });
    const centre = ({ shape, affine }: Geometry) =>
      toWorld(affine, [(shape[0] - 1) / 2, (shape[1] - 1) / 2, (shape[2] - 1) / 2]);
    centre(grid).forEach((value, axis) => {
      assert.ok(Math.abs(value - centre(geometry)[axis]) < 1e-9);
    });
    assert.deepEqual(gridWithSpacing(geometry, [1000, 2, 2]).shape[0], 1);
    assert.throws(() => gridWithSpacing(geometry, [0, 1, 1]), { code: 'invalid-input' });
  });

  it('refuses a sheared grid where distances are to be measured', () => {
    requireRightAngles(numbered().geometry, 'a test');
    const sheared: Affine = [1, 0, 0, 0, 0, 1, 0.3, 0, 0, 0, 1, 0];
    assert.throws(() => requireRightAngles({ shape: [2, 2, 2], affine: sheared }, 'a test'), /a test .* sheared/);
  });
});
