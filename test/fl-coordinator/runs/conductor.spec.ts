import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ClaraError, type ErrorCode } from '../../../base/errors';
import { checkPlan, type PlanInput } from '../../../federation/plan';
import { Conductor, type ConductorOptions } from '../../../fl-coordinator/runs/conductor';
import { appendEvent } from '../../../fl-coordinator/runs/journal';
import { Traffic } from '../../../fl-coordinator/runs/traffic';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { DIGEST, RUN } from './story';

const START = Date.parse('2026-01-01T00:00:00Z');
/** More than a run has outside a pause. */
const MANY_ATTEMPTS = 10;

const outcomeOf = ({ state }: Conductor): string | undefined => state.outcome?.kind;

describe('a conductor', () => {
  let folder: string;
  let store: DirectoryStore;
  let conductor: Conductor | undefined;
  let time: number;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-conductor-'));
    store = await openDirectoryStore(folder);
    time = START;
  });
  afterEach(async () => {
    await conductor?.close();
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Of a run that starts from a file, so that its first model is due at once. */
  const conduct = async (options: Partial<ConductorOptions>, plan: Partial<PlanInput> = {}): Promise<Conductor> => {
    const sha256 = 'ab'.repeat(32);
    const complete = checkPlan({
      name: 'spleen',
      rounds: 1,
      trainer: { name: 'reference' },
      initialModel: { from: 'file', sha256 },
      ...plan,
    });
    const submitted = await appendEvent(
      store,
      RUN,
      undefined,
      {
        type: 'run-submitted',
        plan: complete,
        cohort: ['a', 'b'],
        operator: 'ada',
        submitToken: 'token',
        start: { key: `models/${sha256}.safetensors`, digest: DIGEST, bytes: 10 },
      },
      new Date(time),
    );
    conductor = new Conductor(submitted, {
      store,
      traffic: new Traffic(),
      now: () => new Date(time),
      makeModel: async () => ({ digest: DIGEST, bytes: 10 }),
      onChange: () => undefined,
      onFatal: (error) => assert.fail(error),
      ...options,
    });
    return conductor;
  };

  it('stops making a model when the run is aborted, and tells when it has stopped', async () => {
    const told: string[] = [];
    let begun: () => void = () => {};
    const making = new Promise<void>((resolve) => {
      begun = resolve;
    });
    let stopped: () => void = () => {};
    const stopping = new Promise<void>((resolve) => {
      stopped = resolve;
    });
    const made = await conduct({
      makeModel: (_state, _work, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            told.push('work ends');
            setImmediate(() => reject(signal.reason));
          });
          begun();
        }),
      onChange: ({ outcome }) => told.push(`${outcome?.kind}`),
      onWorkStopped: ({ outcome }) => {
        told.push(`stopped after ${outcome?.kind}`);
        stopped();
      },
    });
    made.start();
    await making;
    await made.dispatch({ kind: 'abort', operator: 'ada', reason: 'a wrong plan' });
    await stopping;
    assert.deepEqual(told, ['work ends', 'aborted', 'stopped after aborted']);
  });

  it('keeps no model that was ready as the run was aborted', async () => {
    let ready: () => void = () => {};
    let begun: () => void = () => {};
    const making = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const stopping = new Promise<void>((resolve) => {
      void conduct({
        makeModel: () =>
          new Promise((done) => {
            ready = () => done({ digest: DIGEST, bytes: 10 });
            begun();
          }),
        onWorkStopped: () => resolve(),
      }).then((made) => made.start());
    });
    await making;
    await conductor!.dispatch({ kind: 'abort', operator: 'ada', reason: 'a wrong plan' });
    ready();
    await stopping;
    assert.equal(conductor!.state.models.length, 0);
  });

  describe('that cannot make a model now', () => {
    let attempted: () => void = () => {};

    const failing = async (code: ErrorCode, plan: Partial<PlanInput> = {}): Promise<Conductor> => {
      const made = await conduct(
        {
          makeModel: async () => {
            throw new ClaraError(code, 'the store is not as it should be');
          },
          onDelayed: () => attempted(),
          onChange: ({ outcome }) => outcome && attempted(),
        },
        plan,
      );
      for (const site of ['a', 'b']) await tried(() => made.dispatch({ kind: 'approve', site }));
      return made;
    };
    /** Until the attempt that this leads to has had its effect. */
    const tried = async (act: () => unknown): Promise<void> => {
      const done = new Promise<void>((resolve) => {
        attempted = resolve;
      });
      await act();
      await done;
    };
    const attempts = async (made: Conductor, count: number): Promise<void> => {
      for (let i = 0; i < count && !made.state.outcome; i++) await tried(() => made.start());
    };
    const pause = (made: Conductor) => {
      const until = new Date(time + 3600_000).toISOString();
      return tried(() => made.dispatch({ kind: 'pause', operator: 'ada', reason: 'a new disk', until }));
    };
    const resume = (made: Conductor) => tried(() => made.dispatch({ kind: 'resume', operator: 'ada' }));

    it('gives up after some attempts, but not in a pause', async () => {
      const made = await failing('unavailable');
      await pause(made);
      await attempts(made, MANY_ATTEMPTS);
      assert.equal(outcomeOf(made), undefined);
      await resume(made);
      assert.equal(outcomeOf(made), undefined);
      await attempts(made, MANY_ATTEMPTS);
      assert.equal(outcomeOf(made), 'failed');
    });

    it('waits for room as long as for a site, pauses not counted', async () => {
      const made = await failing('out-of-space', { deadline: '60s' });
      time += 30_000;
      await pause(made);
      time += 1800_000;
      await attempts(made, MANY_ATTEMPTS);
      assert.equal(outcomeOf(made), undefined);
      await resume(made);
      time += 29_999;
      await attempts(made, MANY_ATTEMPTS);
      assert.equal(outcomeOf(made), undefined);
      time += 1;
      await attempts(made, 1);
      assert.equal(outcomeOf(made), 'failed');
    });
  });
});
