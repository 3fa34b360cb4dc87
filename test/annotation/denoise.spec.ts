import assert from 'node:assert/strict';
import { noiseIn, withNoiseAtMost } from '../../annotation/denoise';
import type { WorkGrid } from '../../annotation/work-grid';
import { seededRandom } from '../../base/random';

const SHAPE = [24, 20, 18] as const;
const STEP_AT = 12;
const [LEFT, RIGHT] = [20, 80];

/** Two even tissues that meet in a plane, with noise. */
function halves(noiseHu: number): WorkGrid {
  const random = seededRandom(11);
  const data = new Float32Array(SHAPE[0] * SHAPE[1] * SHAPE[2]);
  data.forEach((_, at) => {
    data[at] = (at % SHAPE[0] < STEP_AT ? LEFT : RIGHT) + noiseHu * random.normal();
  });
  return { geometry: { shape: SHAPE, affine: [3, 0, 0, 0, 0, 3, 0, 0, 0, 0, 3, 0] }, data };
}

/** Mean and standard deviation of the voxels of one plane along i. */
function plane({ data }: WorkGrid, i: number): { mean: number; deviation: number } {
  const values = [...data].filter((_, at) => at % SHAPE[0] === i);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / values.length) };
}

describe('removing noise', () => {
  it('measures the noise of tissue, hardly more for edges and air in it', () => {
    for (const noise of [8, 30]) {
      const grid = halves(noise);
      grid.data.fill(-250, 0, SHAPE[0] * SHAPE[1] * 6);
      assert.ok(Math.abs(noiseIn(grid) / noise - 1) < 0.2, `${noiseIn(grid)} of ${noise}`);
    }
  });

  it('leaves a grid with less noise as it is', () => {
    const grid = halves(15);
    assert.equal(withNoiseAtMost(grid, 20), grid);
  });

  it('brings noise down to what is asked and keeps the edge', () => {
    const grid = halves(32);
    const quiet = withNoiseAtMost(grid, 16);
    for (const i of [2, 6, STEP_AT - 1, STEP_AT, 17, 21]) {
      const [before, after] = [plane(grid, i), plane(quiet, i)];
      assert.ok(after.deviation < 0.72 * before.deviation, `${after.deviation} from ${before.deviation} at ${i}`);
      assert.ok(Math.abs(after.mean - (i < STEP_AT ? LEFT : RIGHT)) < 6, `${after.mean} at ${i}`);
    }
  });

  it('takes grids that are thinner than what is searched', () => {
    const { data } = halves(30);
    const geometry = { shape: [24, 20, 1] as const, affine: halves(1).geometry.affine };
    const flat: WorkGrid = { geometry, data: data.slice(0, 480) };
    const quiet = withNoiseAtMost(flat, 10);
    assert.ok(quiet.data.every(Number.isFinite));
    assert.ok(noiseIn(quiet) < noiseIn(flat));
  });
});
