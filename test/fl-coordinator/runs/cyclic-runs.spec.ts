import assert from 'node:assert/strict';
import { openTasks } from '../../../fl-coordinator/runs/tasks';
import { combined, opened, reasonOf, started, TRAIN_ONLY, tasksOf } from './courses';
import { RUN, Story } from './story';

describe('a cyclic run', () => {
  const plan = { rounds: 2, mode: 'cyclic', evaluation: TRAIN_ONLY } as const;

  it('hands the weights from site to site', () => {
    const story = started(plan, ['a', 'b', 'c']);
    const seen: string[] = [];
    while (!story.state.outcome) {
      const [task, ...others] = openTasks(story.state);
      assert.equal(others.length, 0);
      seen.push(`${task!.site} from ${task!.models[0]!.key.replace(`runs/${RUN}/rounds/`, '')}`);
      story.deliver(task!.site);
    }
    assert.deepEqual(seen, [
      'a from 0000/model.safetensors',
      'b from 0001/updates/a.safetensors',
      'c from 0001/updates/b.2.safetensors',
      'a from 0001/model.safetensors',
      'b from 0002/updates/a.safetensors',
      'c from 0002/updates/b.2.safetensors',
    ]);
    assert.deepEqual(combined(story), [['1/c.3'], ['2/c.3']]);
  });

  it('goes past a site that fails, as long as the quorum can be reached', () => {
    const story = started({ ...plan, rounds: 1, quorum: 2 }, ['a', 'b', 'c']);
    story.deliver('a');
    const [b] = openTasks(story.state);
    story.command({ kind: 'lose-site', stage: b!.stage, site: 'b', reason: 'no GPU' });
    assert.match(openTasks(story.state)[0]!.models[0]!.key, /0001\/updates\/a\.safetensors$/);
    story.deliver('c');
    assert.equal(story.state.outcome?.kind, 'completed');
    const strict = started({ ...plan, rounds: 1 }, ['a', 'b', 'c']);
    strict.deliver('a');
    strict.pass(60_000);
    assert.match(reasonOf(strict), /^round 1 cannot reach its quorum of 3 any more \(b: nothing came before/);
  });

  it('ends a round with the last site that delivered', () => {
    const story = started({ ...plan, rounds: 1, quorum: 1 }, ['a', 'b', 'c']);
    story.deliver('a');
    for (const site of ['b', 'c']) {
      story.command({ kind: 'lose-site', stage: openTasks(story.state)[0]!.stage, site, reason: 'no GPU' });
    }
    assert.deepEqual(combined(story), [['1/a']]);
  });

  it('keeps to the order with which the round began', () => {
    const story = new Story({ ...plan, quorum: 2 }, ['a', 'b', 'c']);
    for (const site of ['a', 'c']) story.command({ kind: 'approve', site });
    story.pass(60_000);
    story.deliver('a');
    story.deliver('a');
    story.command({ kind: 'approve', site: 'b' });
    assert.deepEqual(tasksOf(story), ['train/1.2/c']);
    story.deliver('c');
    assert.deepEqual(opened(story, 'train').at(-1)!.order, ['a', 'b', 'c'], 'the next round asks the newcomer too');
  });
});
