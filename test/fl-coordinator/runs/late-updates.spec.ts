import assert from 'node:assert/strict';
import { isNeeded, runObjectOf } from '../../../fl-coordinator/runs/run-objects';
import { combined, reasonOf, SITES, started, TRAIN_ONLY, tasksOf } from './courses';
import { RUN, type Story } from './story';

describe('late updates', () => {
  const plan = { rounds: 4, quorum: 2, evaluation: TRAIN_ONLY } as const;
  /** Everybody but d delivers, and the deadline passes. */
  const roundWithoutD = (story: Story) => {
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    story.pass(60_000);
  };

  it('count in the next round, discounted, from the model that they started from', () => {
    const story = started({ ...plan, lateUpdates: 'next-round' });
    roundWithoutD(story);
    assert.deepEqual(tasksOf(story), ['train/2/a', 'train/2/b', 'train/2/c', 'train/1/d']);
    assert.equal(story.deliver('d'), true);
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    assert.deepEqual(combined(story).slice(0, 2), [
      ['1/a', '1/b', '1/c'],
      ['2/a', '2/b', '2/c', '1/d x 0.707'],
    ]);
    assert.deepEqual(
      tasksOf(story),
      SITES.map((site) => `train/3/${site}`),
    );
  });

  it('of a round before that one are given up', () => {
    const story = started({ ...plan, lateUpdates: 'next-round' });
    roundWithoutD(story);
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    assert.deepEqual(
      tasksOf(story),
      SITES.map((site) => `train/3/${site}`),
    );
    const result = { kind: 'lose-site', stage: { kind: 'train', round: 1 }, site: 'd', reason: 'too late' } as const;
    assert.equal(story.command(result), false);
  });

  it('are not used when the plan says drop', () => {
    const story = started({ ...plan, lateUpdates: 'drop' });
    roundWithoutD(story);
    assert.deepEqual(
      tasksOf(story),
      SITES.map((site) => `train/2/${site}`),
    );
  });

  it('that come while the global model is judged count beside the newest of the same site', () => {
    const story = started({ rounds: 2, quorum: 2, lateUpdates: 'next-round' });
    roundWithoutD(story);
    assert.deepEqual(tasksOf(story), ['evaluate/1/a', 'evaluate/1/b', 'evaluate/1/c', 'train/1/d']);
    story.deliver('d');
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    for (const site of SITES) story.deliver(site);
    assert.deepEqual(combined(story)[1], ['2/a', '2/b', '2/c', '2/d', '1/d x 0.707']);
  });

  it('wait in the buffer until there are enough of them', () => {
    const buffer = { size: 2, maxStaleness: 3, step: 0.5 };
    const story = started({ ...plan, rounds: 5, lateUpdates: 'buffer', buffer });
    roundWithoutD(story);
    story.deliver('d');
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    assert.deepEqual(combined(story)[1], ['2/a', '2/b', '2/c'], 'one of two is there');
    for (const site of ['a', 'b']) story.deliver(site);
    story.pass(60_000); // c and d are late with round 3
    story.deliver('c');
    for (const site of ['a', 'b']) story.deliver(site);
    assert.deepEqual(combined(story)[3], ['4/a', '4/b', '3/c x 0.354', '1/d x 0.250']);
  });

  it('of a site that fails after all are forgotten, and the site is asked again', () => {
    const story = started({ ...plan, lateUpdates: 'next-round' });
    roundWithoutD(story);
    story.command({ kind: 'lose-site', stage: { kind: 'train', round: 1 }, site: 'd', reason: 'out of memory' });
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    assert.deepEqual(
      tasksOf(story),
      SITES.map((site) => `train/3/${site}`),
    );
  });

  it('are given up when the quorum needs their sites', () => {
    const story = started({ ...plan, quorum: 3, lateUpdates: 'buffer', buffer: { size: 9, maxStaleness: 9 } });
    roundWithoutD(story);
    assert.deepEqual(tasksOf(story).at(-1), 'train/1/d');
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    story.pass(1);
    assert.deepEqual(tasksOf(story), ['train/3/a', 'train/3/b', 'train/3/c', 'train/1/d']);
    const quick = started({ ...plan, quorum: 2, lateUpdates: 'next-round' });
    for (const site of ['a', 'b']) quick.deliver(site);
    quick.pass(60_000);
    for (const site of ['a']) quick.deliver(site);
    assert.deepEqual(tasksOf(quick), ['train/2/b', 'train/1/c', 'train/1/d']);
    quick.pass(60_000);
    assert.match(reasonOf(quick), /quorum of 2/);
  });

  it('are kept by the retention rule until they are combined', () => {
    const story = started({ ...plan, lateUpdates: 'next-round' });
    roundWithoutD(story);
    story.deliver('d');
    const object = runObjectOf(RUN, `runs/${RUN}/rounds/0001/updates/d.safetensors`)!;
    const other = runObjectOf(RUN, `runs/${RUN}/rounds/0001/updates/a.safetensors`)!;
    assert.deepEqual([isNeeded(story.state, object), isNeeded(story.state, other)], [true, false]);
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    assert.equal(isNeeded(story.state, object), false);
  });
});
