import assert from 'node:assert/strict';
import { openTasks } from '../../../fl-coordinator/runs/tasks';
import { combined, reasonOf, started, TRAIN_ONLY, tasksOf } from './courses';

describe('an asynchronous run', () => {
  const plan = { rounds: 3, mode: 'asynchronous', buffer: { size: 2 }, evaluation: TRAIN_ONLY } as const;

  it('publishes a model whenever the buffer is full, whoever filled it, and nobody stops training', () => {
    const story = started(plan, ['a', 'b', 'c']);
    assert.deepEqual(tasksOf(story), ['train/1/a', 'train/1/b', 'train/1/c']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['train/1.2/a', 'train/1/b', 'train/1/c']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['train/2/a', 'train/1/b', 'train/1/c']);
    story.deliver('b');
    assert.deepEqual(tasksOf(story), ['train/2/a', 'train/2/b', 'train/1/c']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['train/3/a', 'train/2/b', 'train/1/c']);
    story.deliver('c');
    story.deliver('b');
    assert.equal(story.state.outcome?.kind, 'completed');
    assert.deepEqual(combined(story), [
      ['1/a', '1/a.2'],
      ['2/a', '1/b x 0.707'],
      ['2/b x 0.707', '1/c x 0.577'],
    ]);
  });

  it('draws other numbers in each turn, and the same ones after a restart', () => {
    const story = started(plan);
    const seed = () => openTasks(story.state)[0]!.seed;
    const first = seed();
    story.deliver('a');
    assert.notEqual(seed(), first);
  });

  it('makes the same model of the same updates in whatever order they came', () => {
    const play = (order: readonly string[]) => {
      const story = started({ ...plan, rounds: 1, buffer: { size: 3 } });
      for (const site of order) story.deliver(site);
      return combined(story);
    };
    assert.deepEqual(play(['a', 'b', 'c']), play(['c', 'a', 'b']));
  });

  it('gives up training that would be too stale, and starts the site anew', () => {
    const story = started({ ...plan, rounds: 4, buffer: { size: 1, maxStaleness: 1 } }, ['a', 'b']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['train/2/a', 'train/1/b']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['train/3/a', 'train/3/b']);
  });

  it('closes at the deadline with its quorum, and fails below it', () => {
    const few = started({ ...plan, quorum: 1 });
    few.deliver('a');
    few.pass(60_000);
    assert.deepEqual(combined(few), [['1/a']]);
    const none = started(plan);
    none.deliver('a');
    none.pass(60_000);
    assert.match(reasonOf(none), /round 1 has 1 of 2 updates at its deadline/);
  });

  it('fails at once when no site trains any more', () => {
    const story = started(plan, ['a', 'b']);
    for (const { site, stage } of openTasks(story.state))
      story.command({ kind: 'lose-site', stage, site, reason: 'no GPU' });
    assert.match(reasonOf(story), /round 1 has 0 of 2 updates and no site trains any more \(a: no GPU; b: no GPU\)/);
  });

  it('has those judge that do not train, and counts what comes meanwhile', () => {
    const story = started({ ...plan, buffer: { size: 1 }, evaluation: { everyRound: true } }, ['a', 'b']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['evaluate/1/a', 'train/1/b']);
    story.deliver('b');
    story.deliver('a');
    assert.deepEqual(combined(story)[1], ['1/b x 0.707'], 'the next round was full when it opened');
  });

  it('has all sites judge the last model: what they still train for, nothing would combine', () => {
    const everyRound = { evaluation: { everyRound: true } };
    const story = started({ ...plan, ...everyRound, rounds: 2, buffer: { size: 1 } }, ['a', 'b']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['evaluate/1/a', 'train/1/b']);
    story.deliver('a');
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['evaluate/2/a', 'evaluate/2/b']);
    const late = { kind: 'lose-site', stage: { kind: 'train', round: 1 }, site: 'b', reason: 'given up' } as const;
    assert.equal(story.command(late), false);
    story.answerAll();
    assert.equal(story.state.outcome?.kind, 'completed');
  });

  it('has all sites judge the model with which its budget is spent', () => {
    const everyRound = { evaluation: { everyRound: true } };
    const story = started({ ...plan, ...everyRound, budget: { rounds: 1 }, buffer: { size: 1 } }, ['a', 'b']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['evaluate/1/a', 'evaluate/1/b']);
    story.answerAll();
    assert.match(reasonOf(story), /^stopped early: the budget of 1 rounds is spent/);
  });

  it('gives no further turn while it is paused', () => {
    const story = started({ ...plan, buffer: { size: 9 } }, ['a', 'b']);
    const until = new Date(story.now + 1e6).toISOString();
    story.command({ kind: 'pause', operator: 'ada', reason: '', until });
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['train/1/b']);
    story.command({ kind: 'resume', operator: 'ada' });
    assert.deepEqual(tasksOf(story), ['train/1.2/a', 'train/1/b']);
  });
});
