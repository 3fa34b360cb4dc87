import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { ownProgram } from '../../../base/own-program';
import { FAULT_POINT_VARIABLE } from '../../../fl-coordinator/fault-points';
import { fencedStore } from '../../../fl-coordinator/leadership/fenced-store';
import { type Lead, takeLead } from '../../../fl-coordinator/leadership/leadership';
import type { RunRegister } from '../../../fl-coordinator/runs/run-register';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { newOwnerCard } from '../../../fl-coordinator/storage/store-owner';
import { WORKROOM_NAME } from '../../../fl-coordinator/storage/workroom';
import { SiteRegister } from '../../../fl-coordinator/trust/site-register';
import { until } from '../../support/until';
import { LEASE_MILLIS, leadRuns, SUBMISSION } from './support/leading';

/** What the old leader creates, in order; the first is its lease. */
const WRITES = ['lease', 'register', 'submission', 'run-submitted', 'site-approved', 'site-approved', 'stage-opened'];

const skip = process.platform === 'linux' ? undefined : 'only Linux tells whether a process is stopped';

describe('a leader that is paused past its lease', function () {
  this.timeout(60_000);
  let folder: string;
  let store: DirectoryStore;
  let old: ChildProcessByStdio<Writable, Readable, null>;
  let lines: AsyncIterator<string>;
  let reader: Interface;
  let lead: Lead | undefined;
  let runs: RunRegister | undefined;

  before(function () {
    if (!skip) return;
    console.log(`      skipped: ${skip}`);
    this.skip();
  });
  afterEach(async () => {
    await runs?.close();
    runs = undefined;
    await lead?.release({ everythingEnded: false });
    lead = undefined;
    await endOld();
  });

  const line = async () => (await lines.next()).value as string | undefined;
  const standsStill = () => / [Tt] /.test(readFileSync(`/proc/${old.pid}/stat`, 'utf8'));

  /** Starts the old leader on a new store; it stops itself at that point. */
  const startOld = async (faultPoint: string) => {
    for (let attempt = 1; !(await stopsAt(faultPoint)); attempt += 1) {
      assert.ok(attempt < 10, 'the old leader never stood still there with its lease and without a lock');
      await endOld();
    }
  };
  const endOld = async () => {
    const ended = old.exitCode === null && old.signalCode === null ? once(old, 'exit') : undefined;
    old.kill('SIGKILL');
    reader.close();
    await ended;
    await store.close();
    await rm(folder, { recursive: true, force: true });
  };

  /**
   * False when it cannot be used: a busy machine took the lease from it on the way, or it stands still in the middle of a
   * renewal, where it keeps the lock of its lease until it is ended (docs/decisions/0016).
   */
  const stopsAt = async (faultPoint: string): Promise<boolean> => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-paused-'));
    store = await openDirectoryStore(folder);
    const { command, args } = ownProgram(path.join(__dirname, 'support/leader-process'), folder);
    old = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, [FAULT_POINT_VARIABLE]: faultPoint },
    });
    reader = createInterface({ input: old.stdout });
    lines = reader[Symbol.asyncIterator]();
    if ((await line()) !== 'leading') return false;
    old.stdin.write('go\n');
    await until(() => old.exitCode !== null || standsStill(), 'the old leader stands still');
    return old.exitCode === null && (await readdir(path.join(folder, WORKROOM_NAME, 'locks'))).length === 0;
  };
  const takeOver = async () => {
    // Longer than any pause of this machine: the new leader is to keep its lease to the end.
    const self = { holder: newOwnerCard(), address: 'new:1', durationMillis: 20 * LEASE_MILLIS };
    lead = await takeLead({ store, self }, new AbortController().signal);
    assert.equal(lead.epoch, 2);
    const current = lead;
    const fenced = fencedStore(store, () => current.mustBeHeld());
    const register = await SiteRegister.open(fenced, undefined, { epoch: lead.epoch, fencedBy: 'new:1' });
    runs = await leadRuns(fenced, lead);
    return { register, runs };
  };
  const continueOld = async () => {
    const ended = once(old, 'exit');
    old.kill('SIGCONT');
    const outcome = await line();
    await ended;
    return outcome;
  };
  /** Every object of every journal, with its bytes. */
  const journals = async () => {
    const names = (await readdir(folder, { recursive: true })).filter((name) => /^(?!\.).*\d{12}\.json$/.test(name));
    const entries = await Promise.all(
      names.sort().map(async (name) => [name, await readFile(path.join(folder, name), 'utf8')]),
    );
    return Object.fromEntries(entries) as Record<string, string>;
  };

  /** What the old leader has written: the new one goes on meanwhile. */
  const ofOld = async () => Object.entries(await journals()).filter(([, text]) => JSON.parse(text).epoch === 1);

  for (const [index, write] of WRITES.entries()) {
    if (index === 0) continue;
    it(`between the check of its lease and its write number ${index + 1}, ${write}, writes nothing when it wakes up`, async () => {
      await startOld(`store.before-link:${index + 1}:stop`);
      const { register, runs: led } = await takeOver();
      const before = await ofOld();
      const outcome = await continueOld();
      // A stage opens by itself: that fails behind the back of whoever approved last.
      if (write !== 'stage-opened') assert.notEqual(outcome, 'all is written');
      assert.deepEqual(await ofOld(), before);

      // Whoever leads now goes on where the journals end, and repeats nothing that is in them.
      await register.invited('b', 'fedcba9876543210', new Date(Date.now() + 1e6));
      const { run, alreadySubmitted } = await led.submit(SUBMISSION);
      assert.equal(alreadySubmitted, index > 2, 'a submission counts from its first write on');
      for (const site of ['a', 'b']) await led.get(run).dispatch({ kind: 'approve', site });
      const types = Object.entries(await journals())
        .filter(([name]) => name.startsWith('runs/'))
        .map(([, text]) => (JSON.parse(text) as { type: string }).type);
      assert.deepEqual(
        types.filter((type) => type !== 'leader-changed'),
        ['run-submitted', 'site-approved', 'site-approved', 'stage-opened'],
      );
    });
  }

  it('before it looks at its lease, is refused by it', async () => {
    await startOld('journal.before-append:2:stop');
    await takeOver();
    const before = await ofOld();
    assert.equal(await continueOld(), 'unavailable');
    assert.deepEqual(await ofOld(), before);
  });

  it('has its one write on its way counted when that was first', async () => {
    await startOld('journal.after-append:2:stop');
    const [run] = (await takeOver()).runs.all();
    // The event was there before the new leader read the journal: it stays, and the old leader learns that it leads no more.
    assert.equal(run?.state.answers.size, 1);
    const before = await ofOld();
    assert.equal(await continueOld(), 'unavailable');
    assert.deepEqual(await ofOld(), before);
  });
});
