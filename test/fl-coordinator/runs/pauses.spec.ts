import assert from 'node:assert/strict';
import { openTasks } from '../../../fl-coordinator/runs/tasks';
import { reasonOf, SITES, started, TRAIN_ONLY, tasksOf } from './courses';
import { Story } from './story';

describe('a paused run', () => {
  const pause = (story: Story, millis = 1e7) =>
    story.command({
      kind: 'pause',
      operator: 'ada',
      reason: 'maintenance',
      until: new Date(story.now + millis).toISOString(),
    });

  it('lets sites finish what they are at, accepts it, and opens nothing', () => {
    const story = started({ rounds: 2, evaluation: TRAIN_ONLY });
    story.deliver('a');
    assert.equal(pause(story), true);
    for (const site of ['b', 'c', 'd']) assert.equal(story.deliver(site), true);
    assert.equal(story.state.models.length, 2, 'the round has closed, and its model is made');
    assert.deepEqual(tasksOf(story), []);
    assert.equal(story.command({ kind: 'resume', operator: 'ada' }), true);
    assert.deepEqual(tasksOf(story), ['train/2/a', 'train/2/b', 'train/2/c', 'train/2/d']);
  });

  it('loses no site while it lasts, and gives the rest of the time back', () => {
    const story = started({ rounds: 1, evaluation: TRAIN_ONLY });
    story.pass(50_000);
    const before = Date.parse(openTasks(story.state)[0]!.deadline) - story.now;
    pause(story);
    assert.ok(Date.parse(openTasks(story.state)[0]!.deadline) >= story.now + 1e7 + before, 'sites have the time too');
    story.pass(5_000_000);
    assert.equal(openTasks(story.state).length, 4);
    story.command({ kind: 'resume', operator: 'ada' });
    assert.equal(Date.parse(openTasks(story.state)[0]!.deadline) - story.now, before);
    story.pass(before - 1);
    assert.equal(story.state.outcome, undefined);
    story.pass(1);
    assert.match(reasonOf(story), /quorum of 4/);
  });

  it('waits for approvals as long as it would have without the pause', () => {
    const story = new Story({}, SITES);
    pause(story);
    story.pass(1_000_000);
    assert.equal(story.state.outcome, undefined);
    story.command({ kind: 'resume', operator: 'ada' });
    story.pass(59_999);
    assert.equal(story.state.outcome, undefined);
    story.pass(1);
    assert.match(reasonOf(story), /before the deadline/);
  });

  it('fails at the end of its pause when nobody has resumed it', () => {
    const story = started({});
    pause(story, 3_600_000);
    story.pass(3_600_000);
    assert.match(reasonOf(story), /^ada paused the run until .*, and nobody has resumed it$/);
  });

  it('is not paused twice, and a run that is not paused is not resumed', () => {
    const story = started({});
    assert.equal(story.command({ kind: 'resume', operator: 'ada' }), false);
    assert.equal(pause(story), true);
    assert.equal(pause(story), false);
    story.command({ kind: 'abort', operator: 'ada', reason: 'over' });
    assert.equal(story.command({ kind: 'resume', operator: 'ada' }), false);
  });
});
