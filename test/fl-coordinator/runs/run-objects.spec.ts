import assert from 'node:assert/strict';
import type { PlanInput } from '../../../federation/plan';
import {
  decodedModelKey,
  momentsPrefix,
  sentUpdateKey,
  updateKey,
  wireModelKey,
} from '../../../fl-coordinator/runs/object-names';
import { pendingModel } from '../../../fl-coordinator/runs/pending-model';
import { reduce } from '../../../fl-coordinator/runs/reduce';
import { isNeeded, runObjectOf } from '../../../fl-coordinator/runs/run-objects';
import { type RunState, stagesOf } from '../../../fl-coordinator/runs/run-state';
import { expectsUpdate } from '../../../fl-coordinator/runs/stage';
import { openTasks } from '../../../fl-coordinator/runs/tasks';
import { isDisposable } from '../../../fl-coordinator/upkeep/retention';
import { RUN, Story } from './story';

const SITES = ['a', 'b'];

/** Every state that a run passes through with one delivery after another, and the keys that its objects have by then. */
function* lifeOf(
  strategy: 'fedavg' | 'fedadam' | 'scaffold',
  wire?: PlanInput['wire'],
): Generator<{ story: Story; keys: string[] }> {
  const story = new Story(
    // A plan may not ask for both scaffold and a matrix of updates.
    {
      ...{ strategy, rounds: 3, ...(wire && { wire }) },
      evaluation: { everyRound: true, siteModels: true, crossSite: strategy !== 'scaffold' },
    },
    SITES,
  );
  story.approveAll();
  for (;;) {
    const keys = stagesOf(story.state).flatMap(({ stage, cohort }) =>
      cohort.map((site) => updateKey(RUN, stage, site)),
    );
    for (const { round } of story.state.models.slice(1)) keys.push(`${momentsPrefix(RUN, round)}/first.safetensors`);
    yield { story, keys };
    if (story.state.outcome) return;
    story.deliver(openTasks(story.state)[0]!.site);
  }
}

describe('what a run still needs', () => {
  it('is whatever its open tasks and its pending model read, in every state of its life', () => {
    let pendings = 0;
    for (const [strategy, wire] of [
      ['fedadam', undefined],
      ['scaffold', undefined],
      ['fedavg', { up: 'int8', down: 'float16' }],
    ] as const) {
      const [{ events }] = [...lifeOf(strategy, wire)].map(({ story }) => story).slice(-1) as [Story];
      let state: RunState | undefined;
      for (const event of events) {
        state = reduce(state, RUN, event);
        const pending = pendingModel(state);
        const aggregation = pending?.kind === 'aggregate' ? pending : undefined;
        if (aggregation) pendings++;
        const read = [
          ...openTasks(state).flatMap(({ models }) => models.map(({ key }) => key)),
          ...(aggregation ? [aggregation.base] : []),
          ...(aggregation?.updates ?? []).map(({ key }) => key),
          ...(aggregation?.controls?.sources ?? []).map(({ key }) => key),
          ...(aggregation?.momentsBefore ? [`${aggregation.momentsBefore}/first.safetensors`] : []),
          // What came in for the stage that is open is combined, or gone on from, when it has closed.
          ...(state.open && expectsUpdate(state.open.stage)
            ? state.open.cohort.map((site) => updateKey(RUN, state!.open!.stage, site))
            : []),
        ];
        for (const key of read) {
          const object = runObjectOf(RUN, key);
          if (object) assert.ok(isNeeded(state, object), `${strategy}: ${key} after event ${event.seq}, ${event.type}`);
        }
      }
    }
    assert.equal(pendings, 9, 'every aggregation was looked at');
  });

  it('is, with SCAFFOLD, the newest update of each site, however long ago, since its control still counts', () => {
    const story = new Story({ strategy: 'scaffold', rounds: 4, quorum: 1, evaluation: { everyRound: false } }, SITES);
    story.approveAll();
    story.deliver('a');
    const needed = () =>
      [1, 2, 3].flatMap((round) =>
        SITES.flatMap((site) =>
          isNeeded(story.state, { kind: 'update', stage: { kind: 'train', round }, site }) &&
          round < story.state.models.length
            ? [`${site} ${round}`]
            : [],
        ),
      );
    story.answerAll();
    assert.deepEqual(needed(), ['a 1', 'b 1']);
    for (const round of [2, 3]) {
      story.deliver('a');
      story.command({ kind: 'lose-site', stage: { kind: 'train', round }, site: 'b', reason: 'away' });
      assert.deepEqual(needed(), ['b 1', `a ${round}`]);
    }
    story.answerAll();
    assert.equal(story.state.outcome?.kind, 'completed');
    assert.deepEqual(needed(), []);
  });

  it('is also what the next round reads: moments of the newest model, and what each site learned alone', () => {
    for (const { story } of lifeOf('fedadam')) {
      const { state } = story;
      const newest = state.models.length - 1;
      if (!state.outcome) assert.ok(isNeeded(state, { kind: 'server-state', round: newest }));
      const last = state.closed.at(-1)?.stage;
      if (last?.kind === 'train-alone' && !state.outcome)
        assert.ok(isNeeded(state, { kind: 'update', stage: last, site: 'a' }));
    }
  });

  it('never comes back: what may go once may go in every later state', () => {
    for (const keep of ['none', 'last'] as const) {
      const gone = new Set<string>();
      for (const { story, keys } of lifeOf('fedavg')) {
        for (const key of gone) assert.ok(isDisposable(story.state, runObjectOf(RUN, key)!, keep), key);
        for (const key of keys) if (isDisposable(story.state, runObjectOf(RUN, key)!, keep)) gone.add(key);
      }
      assert.ok(gone.size > 0);
    }
  });

  it('is nothing once the run has ended; the rule says what stays then', () => {
    let ended: { story: Story; keys: string[] } | undefined;
    for (const state of lifeOf('fedadam')) ended = state;
    const staying = (keep: 'none' | 'last' | 'all') =>
      ended!.keys.filter((key) => !isDisposable(ended!.story.state, runObjectOf(RUN, key)!, keep));
    const last = (folder: string) => SITES.map((site) => `runs/${RUN}/${folder}/0003/updates/${site}.safetensors`);
    assert.deepEqual(staying('none'), []);
    assert.deepEqual([...new Set(staying('last'))].sort(), [...last('alone'), ...last('rounds')]);
    assert.deepEqual(staying('all'), ended!.keys);
  });

  it('knows its objects by their keys, and nothing else', () => {
    assert.deepEqual(runObjectOf(RUN, `runs/${RUN}/rounds/0000/updates/a.safetensors`), {
      kind: 'update',
      stage: { kind: 'initialise', round: 0 },
      site: 'a',
    });
    assert.deepEqual(runObjectOf(RUN, `runs/${RUN}/rounds/0002/moments/first.safetensors`), {
      kind: 'server-state',
      round: 2,
    });
    assert.deepEqual(runObjectOf(RUN, sentUpdateKey(RUN, { kind: 'train', round: 2 }, 'a')), {
      kind: 'update',
      stage: { kind: 'train', round: 2 },
      site: 'a',
    });
    for (const key of [wireModelKey(RUN, 2), decodedModelKey(RUN, 2)]) {
      assert.deepEqual(runObjectOf(RUN, key), { kind: 'wire-model', round: 2 });
    }
    for (const key of [
      `runs/${RUN}/rounds/0002/model.safetensors`,
      `runs/${RUN}/journal/000000000001.json`,
      `runs/other/rounds/0002/updates/a.safetensors`,
      `federation/journal/000000000001.json`,
    ]) {
      assert.equal(runObjectOf(RUN, key), undefined, key);
    }
  });
});
