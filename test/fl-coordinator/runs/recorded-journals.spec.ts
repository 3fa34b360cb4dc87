import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { advance } from '../../../fl-coordinator/runs/decide';
import { type RunEvent, runEventSchema } from '../../../fl-coordinator/runs/events';
import { pendingModel } from '../../../fl-coordinator/runs/pending-model';
import { reduce } from '../../../fl-coordinator/runs/reduce';
import type { RunState } from '../../../fl-coordinator/runs/run-state';
import { openTasks } from '../../../fl-coordinator/runs/tasks';

/** Journals of real runs, one JSON object a line, in a folder for each release that wrote them; see test/support/record-journals.ts. */
const FOLDER = path.resolve(__dirname, '../../fixtures/journals');

const releases = readdirSync(FOLDER, { withFileTypes: true }).filter((entry) => entry.isDirectory());

/** What follows by itself, and from nobody's command. */
const FOLLOWING: ReadonlySet<string> = new Set(['stage-opened', 'stage-closed', 'run-completed']);

function statesOf(run: string, events: readonly RunEvent[]): RunState[] {
  const states: RunState[] = [];
  for (const event of events) states.push(reduce(states.at(-1), run, event));
  return states;
}

/** An event without its stamp and without figures that no rule decides. */
function decided(event: object): Record<string, unknown> {
  const { v: _v, seq: _s, at: _a, epoch: _e, deadline: _d, ...facts } = event as Record<string, unknown>;
  for (const figure of ['bytesToSites', 'bytesFromSites', 'transferSeconds', 'peakRssBytes']) delete facts[figure];
  return facts;
}

describe('journals of earlier releases', () => {
  it('are there of every kind of run', () => {
    assert.deepEqual(
      releases.map(({ name }) => [name, readdirSync(path.join(FOLDER, name)).length > 5]),
      releases.map(({ name }) => [name, true]),
    );
    assert.ok(releases.length >= 1);
  });

  for (const { name: release } of releases) {
    for (const file of readdirSync(path.join(FOLDER, release))) {
      const events = readFileSync(path.join(FOLDER, release, file), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => runEventSchema.parse(JSON.parse(line)));
      const run = `${path.basename(file, '.jsonl')}-0001`;

      it(`${release}/${file} is replayed to its end`, () => {
        const last = statesOf(run, events).at(-1)!;
        assert.equal(`run-${last.outcome?.kind}`, events.at(-1)!.type);
        assert.deepEqual(openTasks(last), []);
        assert.equal(pendingModel(last), undefined);
      });

      it(`${release}/${file}, cut anywhere, goes on as it did`, () => {
        const states = statesOf(run, events);
        for (const [index, state] of states.slice(0, -1).entries()) {
          const next = events[index + 1]!;
          const follows = advance(state, { now: new Date(next.at), bytesToSites: 0, bytesFromSites: 0 });
          if (FOLLOWING.has(next.type)) assert.deepEqual(decided(follows!), decided(next), `event ${next.seq}`);
          // Nothing would follow where the recorded run waited for a command.
          else if (follows) assert.deepEqual(decided(follows), decided(next), `event ${next.seq}`);
        }
      });

      it(`${release}/${file}, resumed anywhere, reaches a final state by itself`, () => {
        for (const state of statesOf(run, events)) assert.ok(leftAlone(run, state).outcome, `after event ${state.seq}`);
      });
    }
  }
});

/** No site says anything any more; models are made as they become due. */
function leftAlone(run: string, start: RunState): RunState {
  let state = start;
  let now = Date.parse(start.changedAt);
  for (let i = 0; i < 1000 && !state.outcome; i++) {
    const event = advance(state, { now: new Date(now), bytesToSites: 0, bytesFromSites: 0 });
    const work = event ? undefined : pendingModel(state);
    const model = { type: 'model-published', round: work?.round, digest: `sha256:${'ab'.repeat(32)}`, bytes: 10 };
    if (!event && !work) now += state.paused ? 31 * 86400e3 : state.plan.deadline;
    else {
      const stamp = { v: 1, seq: state.seq + 1, at: new Date(now).toISOString() };
      state = reduce(state, run, runEventSchema.parse({ ...stamp, ...(event ?? model) }));
    }
  }
  return state;
}
