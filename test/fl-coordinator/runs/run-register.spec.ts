import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { checkPlan, type PlanInput } from '../../../federation/plan';
import { loadRun } from '../../../fl-coordinator/runs/journal';
import { RunRegister } from '../../../fl-coordinator/runs/run-register';
import { Traffic } from '../../../fl-coordinator/runs/traffic';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { rejectsWith } from '../api/support/rejects';
import { DIGEST } from './story';

describe('the register of runs', () => {
  let folder: string;
  let store: DirectoryStore;
  let runs: RunRegister;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-runs-'));
    store = await openDirectoryStore(folder);
    runs = new RunRegister({
      store,
      traffic: new Traffic(),
      makeModel: async () => ({ digest: DIGEST, bytes: 10 }),
      onChange: () => undefined,
      onFatal: (error) => assert.fail(error),
    });
  });
  afterEach(async () => {
    await runs.close();
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  const submission = (plan: Partial<PlanInput> = {}) => ({
    plan: checkPlan({ name: 'plan', trainer: { name: 'shift' }, rounds: 1, ...plan }),
    operator: 'admin',
    submitToken: 'token-of-the-test',
    enrolledSites: ['a', 'b'],
  });

  it('makes one run of a submission that is sent twice at once', async () => {
    const [first, second] = await Promise.all([runs.submit(submission()), runs.submit(submission())]);
    assert.deepEqual(second, { run: first.run, alreadySubmitted: true });
    assert.equal(runs.all().length, 1);
  });

  it('does not look again and again while a model is copied after the deadline for approvals', async () => {
    await runs.close();
    let looks = 0;
    let time = Date.now();
    let begun = (): void => {};
    const copying = new Promise<void>((resolve) => {
      begun = resolve;
    });
    runs = new RunRegister({
      store,
      traffic: new Traffic(),
      now: () => {
        looks++;
        return new Date(time);
      },
      makeModel: () => {
        begun();
        return new Promise(() => undefined);
      },
      onChange: () => undefined,
      onFatal: (error) => assert.fail(error),
    });
    const sha256 = 'ab'.repeat(32);
    await store.put(`models/${sha256}.safetensors`, Buffer.from('model'));
    const { run } = await runs.submit(
      submission({ initialModel: { from: 'file', sha256 }, quorum: 1, deadline: '1h' }),
    );
    await copying;
    time += 2 * 3600_000;
    for (const site of ['a', 'b']) await runs.get(run).dispatch({ kind: 'approve', site });
    assert.equal(runs.get(run).state.outcome, undefined);
    const before = looks;
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
    assert.equal(looks, before);
  });

  it('keeps no event that it could not read again', async () => {
    const trainer = { name: 'shift', parameters: { text: 'x'.repeat(8 << 20) } };
    await rejectsWith('resource-exhausted', runs.submit(submission({ trainer })), 'at most 8388608 are kept');
    const { run } = await runs.submit(submission());
    assert.equal((await loadRun(store, run))?.seq, 1);
  });
});
