import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { PlanInput } from '../../../federation/plan';
import { bufferingOf } from '../../../fl-coordinator/runs/going';
import { decodedModelKey, modelKey, sentUpdateKey, updateKey } from '../../../fl-coordinator/runs/object-names';
import { pendingModel } from '../../../fl-coordinator/runs/pending-model';
import { reduce } from '../../../fl-coordinator/runs/reduce';
import { isNeeded, runObjectOf } from '../../../fl-coordinator/runs/run-objects';
import type { RunState } from '../../../fl-coordinator/runs/run-state';
import { openTasks, startKeyOf } from '../../../fl-coordinator/runs/tasks';
import { isDisposable } from '../../../fl-coordinator/upkeep/retention';
import { RUN, Story } from './story';

/** Encoded models and updates beside late updates, asynchronous and cyclic runs. */

const SITES = ['a', 'b', 'c'];
const WIRE = { up: { encoding: 'int8', delta: true }, down: 'float16' } as const;
const evaluation = { everyRound: false } as const;

function started(plan: Partial<PlanInput>): Story {
  const story = new Story({ wire: WIRE, evaluation, ...plan }, SITES);
  story.approveAll();
  story.deliver('a');
  return story;
}

const taskOf = ({ state }: Story, site: string) => openTasks(state).find((task) => task.site === site)!;
const needed = ({ state }: Story, key: string) => isNeeded(state, runObjectOf(RUN, key)!);

describe('an encoded update that did not start from the newest model', () => {
  const plan = { rounds: 3, quorum: 2, lateUpdates: 'next-round' } as const;

  it('is decoded against, and rebased from, the model that its site had, which stays as long', () => {
    const story = started(plan);
    story.deliver('a');
    story.deliver('b');
    story.pass(60_000);
    // c goes on with round 1, from what the encoded initial model decodes to.
    const { stage, models } = taskOf(story, 'c');
    assert.deepEqual(stage, { kind: 'train', round: 1 });
    assert.equal(startKeyOf(story.state, stage), decodedModelKey(RUN, 0));
    for (const key of [models[0]!.key, decodedModelKey(RUN, 0)]) assert.ok(needed(story, key), key);
    story.deliver('c');
    assert.ok(needed(story, decodedModelKey(RUN, 0)), 'it is rebased from it');
    assert.ok(needed(story, sentUpdateKey(RUN, stage, 'c')));
    story.deliver('a');
    let before: RunState | undefined;
    story.deliver('b');
    for (const event of story.events) {
      if (event.type === 'model-published' && event.round === 2) break;
      before = reduce(before, RUN, event);
    }
    const work = pendingModel(before!);
    assert.ok(work?.kind === 'aggregate');
    assert.equal(work.base, decodedModelKey(RUN, 1));
    assert.deepEqual(
      work.updates.map(({ site, from }) => [site, from?.key]),
      [
        ['a', undefined],
        ['b', undefined],
        ['c', decodedModelKey(RUN, 0)],
      ],
    );
    assert.ok(isNeeded(before!, runObjectOf(RUN, decodedModelKey(RUN, 0))!));
    assert.ok(!needed(story, decodedModelKey(RUN, 0)), 'nothing needs it any more');
  });

  it('has a key of its own for each turn, as it was sent and decoded', () => {
    const turns = [undefined, 2, 3].map((turn) => ({ kind: 'train' as const, round: 2, ...(turn && { turn }) }));
    const keys = turns.flatMap((stage) => [sentUpdateKey(RUN, stage, 'a'), updateKey(RUN, stage, 'a')]);
    assert.equal(new Set(keys).size, keys.length);
    turns.forEach((stage, i) => {
      for (const key of keys.slice(2 * i, 2 * i + 2)) {
        assert.deepEqual(runObjectOf(RUN, key), { kind: 'update', stage, site: 'a' });
      }
    });
  });
});

describe('an encoded cyclic run', () => {
  it('gives the first site the encoded model, and each next one the decoded update of the one before', () => {
    const story = started({ rounds: 2, mode: 'cyclic' });
    const first = taskOf(story, 'a');
    assert.ok(first.models[0]!.decoded);
    assert.equal(startKeyOf(story.state, first.stage), decodedModelKey(RUN, 0));
    story.deliver('a');
    const second = taskOf(story, 'b');
    assert.equal(second.models[0]!.decoded, undefined);
    assert.equal(second.models[0]!.key, updateKey(RUN, first.stage, 'a'));
    assert.equal(startKeyOf(story.state, second.stage), updateKey(RUN, first.stage, 'a'));
  });
});

describe('whatever happens to an encoded run,', () => {
  const course = fc.constantFrom<Partial<PlanInput>>(
    {},
    { quorum: 1, lateUpdates: 'next-round' },
    { quorum: 2, lateUpdates: 'buffer', buffer: { size: 2, maxStaleness: 3 } },
    { mode: 'asynchronous', buffer: { size: 1, maxStaleness: 2 } },
    { mode: 'asynchronous', buffer: { size: 3, maxStaleness: 4 }, quorum: 1 },
    { mode: 'cyclic', quorum: 1 },
  );
  const plan = fc
    .record({ course, everyRound: fc.boolean(), down: fc.constantFrom('float16' as const, 'float32' as const) })
    .map(({ course, everyRound, down }) => ({
      ...course,
      rounds: 5,
      wire: { ...WIRE, down },
      evaluation: { everyRound },
    }));
  const move = fc.record({
    site: fc.constantFrom(...SITES),
    what: fc.constantFrom('deliver', 'deliver', 'deliver', 'lose', 'wait'),
  });

  it('what open tasks and the next model read is kept, and what may go once may go for ever', () => {
    let rebased = 0;
    fc.assert(
      fc.property(plan, fc.array(move, { minLength: 20, maxLength: 60 }), (settings, moves) => {
        const story = started(settings);
        for (const { site, what } of moves) {
          const task = taskOf(story, site);
          if (what === 'wait') story.pass(30_000);
          else if (what === 'deliver') story.deliver(site);
          else if (task) story.command({ kind: 'lose-site', stage: task.stage, site, reason: 'away' });
        }
        const gone = new Set<string>();
        const seen = new Set<string>();
        let state: RunState | undefined;
        let held = new Set<number>();
        for (const event of story.events) {
          state = reduce(state, RUN, event);
          const { models, plan } = state;
          // Each new one is there before any is deleted.
          for (const { round, wire } of models.slice(-1)) if (wire) held.add(round);
          assert.ok(held.size <= 2 + (bufferingOf(plan)?.maxStaleness ?? 0), `as many as ${held.size} encoded models`);
          held = new Set([...held].filter((round) => isNeeded(state!, { kind: 'wire-model', round })));
          const work = pendingModel(state);
          const tasks = openTasks(state).filter(({ stage }) => stage.kind === 'train');
          const read = [
            ...tasks.flatMap(({ models }) => models.map(({ key }) => key)),
            ...tasks.map(({ stage }) => startKeyOf(state!, stage)),
            ...(work?.kind === 'aggregate' ? [work.base, ...work.updates.map(({ key }) => key)] : []),
            ...(work?.kind === 'aggregate' ? work.updates.flatMap(({ from }) => (from ? [from.key] : [])) : []),
          ];
          if (work?.kind === 'aggregate') rebased += work.updates.filter(({ from }) => from).length;
          for (const key of read) {
            seen.add(key);
            const object = runObjectOf(RUN, key);
            if (object) assert.ok(isNeeded(state, object), `${key} after event ${event.seq}, ${event.type}`);
            else assert.ok(/\/model\.safetensors$/.test(key) && key === modelKey(RUN, Number(key.split('/')[3])), key);
          }
          for (const key of gone) assert.ok(isDisposable(state, runObjectOf(RUN, key)!, 'none'), key);
          for (const key of seen) {
            const object = runObjectOf(RUN, key);
            if (object && isDisposable(state, object, 'none')) gone.add(key);
          }
        }
      }),
      { numRuns: 80 },
    );
    assert.ok(rebased > 0, 'no update was rebased, so nothing was tested of them');
  });
});
