import assert from 'node:assert/strict';
import type { PlanInput } from '../../../federation/plan';
import { cardOf } from '../../../fl-coordinator/registry/card';
import { lineageOf } from '../../../fl-coordinator/registry/lineage';
import { EMPTY_REGISTRY } from '../../../fl-coordinator/registry/registry-state';
import { openTasks } from '../../../fl-coordinator/runs/tasks';
import { Story } from '../runs/story';

const TRAIN_ONLY = { everyRound: false } as const;

function started(plan: Partial<PlanInput>, sites: readonly string[]): Story {
  const story = new Story({ evaluation: TRAIN_ONLY, ...plan }, sites);
  story.approveAll();
  story.deliver(openTasks(story.state)[0]!.site);
  return story;
}

function cardAt({ state }: Story, round: number) {
  const registeredAt = '2026-01-02T00:00:00Z';
  const facts = { model: 'spleen', version: 1, description: '', licence: '', operator: 'ada', registeredAt };
  return cardOf(state, state.models[round]!, [], facts);
}

/** [site, rounds, samples] */
const sitesAt = (story: Story, round: number) =>
  cardAt(story, round).sites.map(({ site, rounds, samples }) => [site, rounds, samples]);

/** The sites of the run that the model was made in. */
function lineageAt(story: Story, round: number): readonly string[] {
  const steps = lineageOf(cardAt(story, round), EMPTY_REGISTRY, () => story.state);
  return steps.find(({ kind }) => kind === 'run')!.sites;
}

describe('the sites on the card of a model, and in its lineage', () => {
  const late = { rounds: 3, quorum: 2, lateUpdates: 'next-round' } as const;

  it('include one whose late update was combined, from the round that took it', () => {
    const story = started(late, ['a', 'b', 'c']);
    for (const site of ['a', 'b']) story.deliver(site, 4);
    story.pass(60_000);
    story.deliver('c', 7);
    for (const site of ['a', 'b']) story.deliver(site, 5);
    const early = [
      ['a', 1, 4],
      ['b', 1, 4],
    ];
    assert.deepEqual(sitesAt(story, 1), early);
    assert.deepEqual(lineageAt(story, 1), ['a', 'b']);
    assert.deepEqual(sitesAt(story, 2), [
      ['a', 2, 5],
      ['b', 2, 5],
      ['c', 1, 7],
    ]);
    assert.deepEqual(lineageAt(story, 2), ['a', 'b', 'c']);
  });

  it('leave out one whose late update came too late to be combined', () => {
    const story = started(late, ['a', 'b', 'c']);
    for (let round = 1; round <= 2; round++) {
      for (const site of ['a', 'b']) story.deliver(site);
      story.pass(60_000);
    }
    assert.deepEqual(lineageAt(story, 2), ['a', 'b']);
  });

  it('count samples of the newest training, also when an older update is combined after it', () => {
    const plan = { rounds: 4, quorum: 2, lateUpdates: 'buffer', buffer: { size: 2, maxStaleness: 3 } } as const;
    const story = started(plan, ['a', 'b', 'c', 'd']);
    for (const site of ['a', 'b', 'd']) story.deliver(site, 1);
    story.pass(60_000);
    story.deliver('c', 7); // waits for a second one
    for (const site of ['a', 'b', 'd']) story.deliver(site, 2);
    for (const site of ['a', 'c', 'd']) story.deliver(site, 3);
    story.pass(60_000); // b is late with round 3
    story.deliver('b', 6);
    for (const site of ['a', 'd']) story.deliver(site, 4);
    story.pass(60_000); // c is late with round 4, and its update of round 1 is combined
    assert.deepEqual(sitesAt(story, 4), [
      ['a', 4, 4],
      ['b', 3, 6],
      ['c', 2, 3],
      ['d', 4, 4],
    ]);
  });

  it('of an asynchronous run are those whose updates filled the buffer, in whatever round they began', () => {
    const story = started({ rounds: 3, mode: 'asynchronous', buffer: { size: 2 } }, ['a', 'b', 'c']);
    const order = [
      ['a', 1],
      ['a', 2],
      ['b', 3],
      ['a', 4],
      ['c', 5],
      ['b', 6],
    ] as const;
    for (const [site, samples] of order) story.deliver(site, samples);
    assert.deepEqual(sitesAt(story, 1), [['a', 1, 2]]);
    assert.deepEqual(sitesAt(story, 2), [
      ['a', 2, 4],
      ['b', 1, 3],
    ]);
    assert.deepEqual(sitesAt(story, 3), [
      ['a', 2, 4],
      ['b', 2, 6],
      ['c', 1, 5],
    ]);
    assert.deepEqual(lineageAt(story, 3), ['a', 'b', 'c']);
  });
});
