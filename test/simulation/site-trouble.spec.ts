import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readTensors, writeTensors } from '../../federation/tensors/file';
import { type Attack, mayCorrupt, mayDrop, maySlow } from '../../simulation/site-trouble';

const dropped = (seed: number, drop: number, round: number, site: string): boolean => {
  try {
    mayDrop({ seed, drop }, round, site);
    return false;
  } catch {
    return true;
  }
};

describe('trouble of simulated sites', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'clara-trouble-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('fails as many rounds as was asked for, others for each site and round, and the same for the same seed', () => {
    const pattern = (seed: number) =>
      Array.from({ length: 200 }, (_, site) =>
        Array.from({ length: 20 }, (_, round) => dropped(seed, 0.05, round, `site-${site}`)),
      );
    const [one, two] = [pattern(1), pattern(2)];
    const share = one.flat().filter(Boolean).length / 4000;
    assert.ok(share > 0.035 && share < 0.065, `${share}`);
    assert.deepEqual(pattern(1), one);
    assert.notDeepEqual(two, one);
    const rounds = Array.from({ length: 20 }, (_, round) => one.filter((site) => site[round]).length);
    assert.ok(
      rounds.every((count) => count < 40),
      'no round hits everybody',
    );
    assert.equal(dropped(1, 0, 1, 'a'), false);
    assert.equal(dropped(1, 1, 1, 'a'), true);
  });

  it('holds slow sites up until they are stopped, and others not at all', async () => {
    const stop = new AbortController();
    await maySlow({ seed: 1, drop: 0 }, 'a', stop.signal);
    await maySlow({ seed: 1, drop: 0, slow: { share: 0, millis: 1e9 } }, 'a', stop.signal);
    const held = maySlow({ seed: 1, drop: 0, slow: { share: 1, millis: 1e9 } }, 'a', stop.signal);
    stop.abort();
    await assert.rejects(held);
  });

  /** The update of a hostile site that started from 1, 2, 3 and learned 2, 2, 1. */
  const sent = async (attack: Omit<Attack, 'sites'>, site: string, round = 1) => {
    const [model, update] = [path.join(folder, 'model'), path.join(folder, 'update')];
    const counter = { name: 'n', dtype: 'I64', shape: [1], data: BigInt64Array.of(5n) } as const;
    const tensor = (...values: number[]) =>
      ({ name: 'w', dtype: 'F32', shape: [values.length], data: Float32Array.from(values) }) as const;
    await writeTensors(model, [tensor(1, 2, 3), counter]);
    await writeTensors(update, [tensor(2, 2, 1), counter]);
    const before = await readFile(update);
    const trouble = { seed: 1, drop: 0, attack: { ...attack, sites: ['evil'] } };
    await mayCorrupt(trouble, { site, round, model, update });
    const { tensors } = await readTensors(update);
    assert.deepEqual([...(tensors.get('n')!.data as BigInt64Array)], [5n], 'counters stay');
    return { values: [...(tensors.get('w')!.data as Float32Array)], same: (await readFile(update)).equals(before) };
  };

  it('turns what a hostile site learned round', async () => {
    assert.deepEqual((await sent({ kind: 'sign-flip', scale: 4 }, 'evil')).values, [-3, 2, 11]);
    assert.equal((await sent({ kind: 'sign-flip', scale: 4 }, 'honest')).same, true);
  });

  it('sends noise of a length that goes with what was learned, other noise in each round', async () => {
    const [one, again, other] = [
      (await sent({ kind: 'noise', scale: 10 }, 'evil', 1)).values,
      (await sent({ kind: 'noise', scale: 10 }, 'evil', 1)).values,
      (await sent({ kind: 'noise', scale: 10 }, 'evil', 2)).values,
    ];
    assert.deepEqual(one, again);
    assert.notDeepEqual(one, other);
    const squares: number[] = [];
    for (let round = 1; round <= 200; round++) {
      const { values } = await sent({ kind: 'noise', scale: 10 }, 'evil', round);
      squares.push(values.reduce((sum, value, i) => sum + (value - [1, 2, 3][i]!) ** 2, 0));
    }
    // |u - x|^2 is 5, ten times the length a hundred times that.
    const mean = squares.reduce((sum, square) => sum + square, 0) / squares.length;
    assert.ok(mean > 400 && mean < 600, `${mean}`);
  });
});
