import assert from 'node:assert/strict';
import fc from 'fast-check';
import { seededRandom } from '../../base/random';
import type { Shape3 } from '../../imaging/volume';
import { cutTrainingPatch, drawCorner } from '../../training/trainer/patch-sampler';

const size = fc.integer({ min: 1, max: 20 });
const shapes = fc.tuple(size, size, size);

describe('training patches', () => {
  it('stay inside the volume, or hold all of it in their middle', () => {
    fc.assert(
      fc.property(shapes, shapes, fc.nat(), (shape, patch, seed) => {
        const foreground = Uint32Array.of(seed % (shape[0] * shape[1] * shape[2]));
        const corner = drawCorner({ shape, foreground }, patch, 0.5, seededRandom(seed));
        for (const axis of [0, 1, 2] as const) {
          const spare = shape[axis] - patch[axis];
          if (spare >= 0) assert.ok(corner[axis] >= 0 && corner[axis] <= spare);
          else assert.ok(Math.abs(corner[axis] - spare / 2) < 1);
        }
      }),
    );
  });

  it('hold a voxel of the organ as often as they should', () => {
    const [shape, patch]: [Shape3, Shape3] = [
      [30, 30, 30],
      [8, 8, 8],
    ];
    const voxel = [2, 27, 15];
    const foreground = Uint32Array.of((voxel[2] * 30 + voxel[1]) * 30 + voxel[0]);
    const random = seededRandom(5);
    const draws = 2000;
    let hits = 0;
    for (let draw = 0; draw < draws; draw++) {
      const corner = drawCorner({ shape, foreground }, patch, 0.7, random);
      if (voxel.every((at, axis) => at >= corner[axis] && at < corner[axis] + patch[axis])) hits++;
    }
    assert.ok(Math.abs(hits / draws - 0.7) < 0.05, `${hits} of ${draws}`);
  });

  it('come from anywhere when the label is empty', () => {
    const random = seededRandom(6);
    const volume = { shape: [40, 8, 8] as Shape3, foreground: new Uint32Array() };
    const starts = new Set(Array.from({ length: 500 }, () => drawCorner(volume, [8, 8, 8], 1, random)[0]));
    assert.equal(starts.size, 33);
  });

  it('show air and no organ beyond the volume, bytes as network values inside', () => {
    const shape: Shape3 = [2, 1, 1];
    const prepared = {
      shape,
      intensities: Uint8Array.of(0, 255),
      targets: Uint8Array.of(51, 255),
      foreground: new Uint32Array(),
    };
    const into = { input: new Float32Array(4), targets: new Float32Array(4).fill(9) };
    cutTrainingPatch(prepared, [-1, 0, 0], [4, 1, 1], into);
    assert.deepEqual(Array.from(into.input), [-1.2, -1.2, 1.8, -1.2].map(Math.fround));
    assert.deepEqual(Array.from(into.targets), [0, 0.2, 1, 0].map(Math.fround));
  });
});
