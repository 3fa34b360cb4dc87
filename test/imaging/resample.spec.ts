import assert from 'node:assert/strict';
import fc from 'fast-check';
import { invert, toWorld } from '../../imaging/affine';
import { gridWithSpacing, reorient } from '../../imaging/geometry';
import { resampleMaskTo, resampleTo, resampleToSpacing } from '../../imaging/resample';
import type { Affine, Geometry, Mask, Vector3, Volume } from '../../imaging/volume';

const SOURCE: Geometry = { shape: [24, 20, 12], affine: [2, 0, 0, -20, 0, 2.5, 0, -22, 0, 0, 4, 10] };

function sampled(geometry: Geometry, field: (point: Vector3) => number): Volume<Float32Array> {
  const [ni, nj, nk] = geometry.shape;
  const data = new Float32Array(ni * nj * nk);
  for (let at = 0; at < data.length; at += 1) {
    data[at] = field(toWorld(geometry.affine, [at % ni, Math.floor(at / ni) % nj, Math.floor(at / ni / nj)]));
  }
  return { geometry, data };
}

const plane = ([x, y, z]: Vector3): number => 3 * x - 2 * y + 0.5 * z + 7;
const wave = ([x, y, z]: Vector3): number => 100 * Math.sin(x / 15) * Math.cos(y / 18) + z;

/** Trilinear interpolation of the nearest eight values by its definition, one weight for each corner. */
function reference({ geometry, data }: Volume, world: Vector3, outside: number | 'edge'): number {
  const [ni, nj, nk] = geometry.shape;
  const index = toWorld(invert(geometry.affine), world);
  const sizes = [ni, nj, nk];
  if (outside !== 'edge' && index.some((value, axis) => value < -0.501 || value > sizes[axis] - 0.499)) return outside;
  let sum = 0;
  for (let corner = 0; corner < 8; corner += 1) {
    let weight = 1;
    const cell = index.map((value, axis) => {
      const held = Math.max(0, Math.min(sizes[axis] - 1, value));
      const upper = (corner >> axis) & 1;
      const base = Math.floor(held);
      weight *= upper === 1 ? held - base : 1 - (held - base);
      return Math.min(sizes[axis] - 1, base + upper);
    });
    if (weight > 0) sum += weight * data[(cell[2] * nj + cell[1]) * ni + cell[0]];
  }
  return sum;
}

function checkAgainstReference(volume: Volume, target: Geometry, outside: number | 'edge'): void {
  const result = resampleTo(volume, target, { outside });
  const expected = sampled(target, (point) => reference(volume, point, outside));
  result.data.forEach((value, at) => {
    assert.ok(Math.abs(value - expected.data[at]) < 1e-2, `voxel ${at}: ${value} and ${expected.data[at]}`);
  });
}

describe('resampling', () => {
  it('reproduces a linear field exactly inside the outermost centres', () => {
    const target: Geometry = { shape: [15, 11, 9], affine: [3, 0, 0, -19, 0, 4, 0, -20, 0, 0, 4.7, 11] };
    const result = resampleTo(sampled(SOURCE, plane), target);
    sampled(target, plane).data.forEach((value, at) => {
      assert.ok(Math.abs(value - result.data[at]) < 1e-3);
    });
    assert.deepEqual(result.geometry, target);
  });

  it('agrees with interpolation by definition on parallel, permuted, mirrored and turned grids', () => {
    const volume = sampled(SOURCE, wave);
    const turned: Affine = [1.8, 0.9, 0, -21, -0.9, 1.8, 0.4, -10, 0, 0.3, 3, 12];
    const grids: Geometry[] = [
      { shape: [30, 30, 20], affine: [1.7, 0, 0, -25, 0, 1.9, 0, -24, 0, 0, 2.6, 6] },
      { shape: [20, 30, 30], affine: [0, 0, -1.7, 25, 1.9, 0, 0, -24, 0, 2.6, 0, 6] },
      { shape: [20, 20, 20], affine: turned },
    ];
    for (const target of grids) {
      checkAgainstReference(volume, target, 'edge');
      checkAgainstReference(volume, target, -1000);
      checkAgainstReference(reorient(volume, 'PIL'), target, -1000);
    }
  });

  it('brings a smooth field there and back', () => {
    const volume = sampled(SOURCE, wave);
    const spacing = fc.double({ min: 1, max: 4, noNaN: true });
    fc.assert(
      fc.property(spacing, spacing, spacing, (a, b, c) => {
        const back = resampleTo(resampleToSpacing(volume, [a, b, c]), SOURCE);
        const [ni, nj] = SOURCE.shape;
        back.data.forEach((value, at) => {
          const index = [at % ni, Math.floor(at / ni) % nj, Math.floor(at / ni / nj)];
          const inner = index.every((position, axis) => position >= 2 && position < SOURCE.shape[axis] - 2);
          if (inner)
            assert.ok(Math.abs(value - volume.data[at]) < 5, `voxel ${index}: ${value} and ${volume.data[at]}`);
        });
      }),
      { numRuns: 25 },
    );
  });

  it('onto the same grid changes nothing', () => {
    const volume = sampled(SOURCE, wave);
    assert.deepEqual(resampleTo(volume, SOURCE).data, volume.data);
  });

  it('gives masks the label of the nearest voxel, and 0 outside their grid', () => {
    const mask: Mask = {
      geometry: { shape: [2, 1, 1], affine: [2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0] },
      data: Uint8Array.of(3, 7),
    };
    const line: Geometry = { shape: [8, 1, 1], affine: [1, 0, 0, -2.6, 0, 2, 0, 0, 0, 0, 2, 0] };
    // Positions -2.6 to 4.4 in steps of 1 mm; voxel 0 covers -1 to 1 and voxel 1 covers 1 to 3.
    assert.deepEqual([...resampleMaskTo(mask, line).data], [0, 0, 3, 3, 7, 7, 0, 0]);
  });

  it('gives a turned mask the label of the nearest voxel too', () => {
    const ball = ballMask(SOURCE);
    const turned: Geometry = {
      shape: [20, 20, 20],
      affine: [1.801, 0.907, 0, -21.03, -0.903, 1.807, 0.411, -10.07, 0, 0.307, 3.011, 12.013],
    };
    const result = resampleMaskTo(ball, turned);
    const inverse = invert(SOURCE.affine);
    const expected = sampled(turned, (point) => {
      const [i, j, k] = toWorld(inverse, point).map(Math.round);
      const inside = i >= 0 && j >= 0 && k >= 0 && i < 24 && j < 20 && k < 12;
      return inside ? ball.data[(k * 20 + j) * 24 + i] : 0;
    });
    assert.deepEqual([...result.data], [...expected.data]);
    assert.ok(result.data.includes(1));
  });

  it('keeps a ball a ball on a finer grid and back, by either method', () => {
    const ball = ballMask(SOURCE);
    for (const method of ['nearest', 'linear'] as const) {
      const fine = resampleMaskTo(ball, gridWithSpacing(SOURCE, [1, 1, 1]), method);
      const back = resampleMaskTo(fine, SOURCE, method);
      const differing = back.data.reduce((count, value, at) => count + (value === ball.data[at] ? 0 : 1), 0);
      const size = ball.data.reduce((sum, value) => sum + value, 0);
      assert.ok(differing <= size * 0.05, `${method}: ${differing} of ${size}`);
    }
  });
});

function ballMask(geometry: Geometry): Mask {
  const ball = sampled(geometry, ([x, y, z]) => (Math.hypot(x - 2, y - 1, z - 30) < 14 ? 1 : 0));
  return { geometry, data: Uint8Array.from(ball.data) };
}
