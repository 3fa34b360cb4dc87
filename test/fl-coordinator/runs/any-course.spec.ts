import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { PlanInput } from '../../../federation/plan';
import { acceptedUpdates, awaits, hasAccepted } from '../../../fl-coordinator/runs/going';
import { reduce } from '../../../fl-coordinator/runs/reduce';
import { type RunState, stagesOf } from '../../../fl-coordinator/runs/run-state';
import { sameStage } from '../../../fl-coordinator/runs/stage';
import { openTaskOf, openTasks } from '../../../fl-coordinator/runs/tasks';
import { combined, SITES } from './courses';
import { RUN, Story } from './story';

describe('any history, whatever the course of the run', () => {
  const course = fc.constantFrom<Partial<PlanInput>>(
    {},
    { cohort: { sample: 2 }, quorum: 1 },
    { cohort: { sample: 3 }, mandatory: ['b'], quorum: 2 },
    { quorum: 1, lateUpdates: 'next-round' },
    { quorum: 2, lateUpdates: 'buffer', buffer: { size: 2, maxStaleness: 2 } },
    { cohort: { sample: 2 }, quorum: 1, lateUpdates: 'next-round' },
    { mode: 'asynchronous', buffer: { size: 1, maxStaleness: 1 } },
    { mode: 'asynchronous', buffer: { size: 3, maxStaleness: 2, step: 0.5 }, quorum: 1 },
    { mode: 'cyclic', quorum: 2 },
    { mode: 'cyclic', cohort: { sample: 2 }, quorum: 1 },
  );
  const plan = fc
    .record({
      course,
      rounds: fc.integer({ min: 1, max: 4 }),
      everyRound: fc.boolean(),
      ends: fc.constantFrom<Partial<PlanInput>>({}, { budget: { rounds: 2 } }, { budget: { wallTime: '200s' } }),
    })
    .map(({ course, rounds, everyRound, ends }) => ({ ...course, ...ends, rounds, evaluation: { everyRound } }));
  const move = fc.record({
    site: fc.constantFrom(...SITES),
    what: fc.constantFrom(
      'deliver',
      'deliver',
      'deliver',
      'lose',
      'reject',
      'wait',
      'refuse',
      'pause',
      'resume',
      'stale',
    ),
  });
  type Move = typeof move extends fc.Arbitrary<infer M> ? M : never;

  const play = (story: Story, { site, what }: Move): void => {
    const task = openTasks(story.state).find((open) => open.site === site);
    if (what === 'wait') story.pass(20_000);
    else if (what === 'refuse') story.command({ kind: 'refuse', site, reason: 'policy' });
    else if (what === 'pause') {
      const until = new Date(story.now + 100_000).toISOString();
      story.command({ kind: 'pause', operator: 'ada', reason: '', until });
    } else if (what === 'resume') story.command({ kind: 'resume', operator: 'ada' });
    else if (what === 'stale') {
      // A result of something that is long over, or has never been asked.
      const stage = { kind: 'train' as const, round: 1, turn: 7 };
      assert.equal(story.command({ kind: 'lose-site', stage, site, reason: 'what?' }), false);
    } else if (!task) story.command({ kind: 'approve', site });
    else if (what === 'deliver') story.deliver(site);
    else {
      const kind = what === 'lose' ? ('lose-site' as const) : ('reject-update' as const);
      story.command({ kind, stage: task.stage, site, reason: 'because' });
    }
  };

  it('reaches exactly one final state by itself, and no task is open after it', () => {
    fc.assert(
      fc.property(plan, fc.array(move, { maxLength: 80 }), (settings, moves) => {
        const story = new Story(settings, SITES);
        for (const each of moves) play(story, each);
        for (let i = 0; i < 60 && !story.state.outcome; i++) story.pass(60_000);
        assert.ok(story.state.outcome);
        const finals = story.events.filter(({ type }) => /^run-(completed|failed|aborted)$/.test(type));
        assert.equal(finals.length, 1);
        assert.equal(story.events.at(-1), finals[0]);
        assert.deepEqual(openTasks(story.state), []);
      }),
      { numRuns: 400 },
    );
  });

  it('is replayed from any prefix to the same state, which asks for the same', () => {
    fc.assert(
      fc.property(plan, fc.array(move, { maxLength: 60 }), (settings, moves) => {
        const story = new Story(settings, SITES);
        const states = new Map<number, RunState>([[story.state.seq, story.state]]);
        for (const each of moves) {
          play(story, each);
          states.set(story.state.seq, story.state);
        }
        let replayed: RunState | undefined;
        for (const event of story.events) {
          replayed = reduce(replayed, RUN, event);
          const lived = states.get(event.seq);
          if (!lived) continue;
          assert.deepEqual(replayed, lived);
          assert.deepEqual(openTasks(replayed), openTasks(lived));
        }
      }),
      { numRuns: 200 },
    );
  });

  it('says of one site what it says of all of them', () => {
    fc.assert(
      fc.property(plan, fc.array(move, { maxLength: 60 }), (settings, moves) => {
        const story = new Story(settings, SITES);
        story.approveAll();
        for (const each of moves) {
          play(story, each);
          const { state } = story;
          const tasks = openTasks(state);
          const accepted = acceptedUpdates(state);
          for (const site of [...SITES, 'stranger']) {
            const task = openTaskOf(state, site);
            assert.deepEqual(
              task,
              tasks.find((open) => open.site === site),
            );
            if (task) assert.ok(awaits(state, task.stage, site));
            const stages = [...accepted, ...stagesOf(state)].map(({ stage }) => stage);
            for (const stage of stages) {
              const known = accepted.some((update) => update.site === site && sameStage(update.stage, stage));
              assert.equal(hasAccepted(state, stage, site), known, `${site} ${JSON.stringify(stage)}`);
            }
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it('combines every update at most once, none that is too stale, and each from the model that it started from', () => {
    fc.assert(
      fc.property(plan, fc.array(move, { maxLength: 80 }), (settings, moves) => {
        const story = new Story(settings, SITES);
        story.approveAll();
        for (const each of moves) play(story, each);
        const rounds = combined(story);
        const all = rounds.flat().map((text) => text.split(' ')[0]!);
        assert.equal(new Set(all).size, all.length);
        const limit = story.state.plan.buffer?.maxStaleness ?? 1;
        rounds.forEach((updates, index) => {
          assert.ok(updates.length > 0);
          for (const text of updates) {
            const staleness = index + 1 - Number(text.split('/')[0]);
            assert.ok(staleness >= 0 && staleness <= limit, text);
          }
        });
      }),
      { numRuns: 300 },
    );
  });
});
