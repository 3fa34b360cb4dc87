import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { isRunning, type ProcessIdentity } from '../../base/process-identity';
import { stopError } from '../../fl-site/trainers/attempts';
import { ProcessTrainer, type ProcessTrainerOptions } from '../../fl-site/trainers/process-trainer';
import type { TrainerWork } from '../../fl-site/trainers/trainer';
import { failureOf, startsIn, TASK, trainerContract, workOn } from '../contract/trainer.contract';
import { scriptedTrainer } from './support/scripted-trainer';
import { until } from './support/until';

describe('a trainer process', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'clara-trainer-'));
    mkdirSync(path.join(folder, 'state'));
    writeFileSync(path.join(folder, 'task.json'), JSON.stringify(TASK));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const run = (mode: string, more: Partial<TrainerWork> = {}, options: Partial<ProcessTrainerOptions> = {}) =>
    new ProcessTrainer({ program: scriptedTrainer(mode), pacing: AT_ONCE, pollMillis: 20, ...options }).run(
      workOn(folder, more),
    );
  const failure = (mode: string, more: Partial<TrainerWork> = {}, options: Partial<ProcessTrainerOptions> = {}) =>
    failureOf(run(mode, more, options));

  trainerContract(() => ({
    folder: () => mkdtempSync(path.join(folder, 'task-')),
    trainer: (mode, options) =>
      new ProcessTrainer({ program: scriptedTrainer(mode), pacing: AT_ONCE, pollMillis: 20, ...options }),
    killed: /ended by SIGKILL/,
  }));

  it('sees a clean environment, its folder as last argument and as working folder', async () => {
    process.env.CLARA_TEST_SECRET = 'hush';
    try {
      await run('show-environment', {}, { threads: 3, environment: { CUDA_VISIBLE_DEVICES: '1' } });
    } finally {
      delete process.env.CLARA_TEST_SECRET;
    }
    const seen = JSON.parse(readFileSync(path.join(folder, 'environment.json'), 'utf8'));
    assert.deepEqual(Object.keys(seen.env).sort(), [
      'CLARA_FED_TASK_DIR',
      'CUDA_VISIBLE_DEVICES',
      'HOME',
      'LANG',
      'OMP_NUM_THREADS',
      'PATH',
      'TMPDIR',
    ]);
    assert.equal(seen.env.CLARA_FED_TASK_DIR, folder);
    assert.equal(seen.env.OMP_NUM_THREADS, '3');
    assert.ok(seen.env.TMPDIR.startsWith(`${folder}/`));
    assert.equal(seen.cwd, folder);
    assert.equal(seen.argv.at(-1), folder);
  });

  it('is started again as often as it asks for, with waits between', async () => {
    const waits: number[] = [];
    const pacing = { random: () => 0.5, wait: async (millis: number) => void waits.push(millis) };
    await run('try-again-twice', {}, { pacing });
    assert.equal(startsIn(folder), 3);
    assert.deepEqual(waits, [1000, 2000]);
  });

  it('that does not exist is a sentence that names the setting', async () => {
    const error = await failure('', {}, { program: { command: '/nowhere/trainer', args: [] } });
    assert.equal(error.code, 'trainer-failed');
    assert.match(error.message, /nowhere\/trainer.*could not be started.*trainer\.command/);
  });

  it('that ignores SIGTERM is killed after the grace', async () => {
    const cancel = new AbortController();
    let trainer: ProcessIdentity | undefined;
    const began = performance.now();
    const error = await failure(
      'ignores-sigterm',
      {
        signal: cancel.signal,
        onProgress: () => cancel.abort(),
        onStarted: async (started) => {
          trainer = started;
        },
      },
      { graceMillis: 200 },
    );
    assert.equal(error.code, 'cancelled');
    assert.ok(performance.now() - began >= 200);
    assert.equal(isRunning(trainer!), false);
  });

  it('that floods standard output costs neither memory nor the task', async () => {
    const longest = { log: 0, lines: 0 };
    const onLog = (line: string) => {
      longest.log = Math.max(longest.log, line.length);
      longest.lines++;
    };
    const began = performance.now();
    await run('garbage-stdout', { onLog, onProgress: () => assert.fail('none of it is progress') });
    // Of 600; a hundred in each second, of which a machine that is busy may need some.
    const most = 100 * (Math.ceil((performance.now() - began) / 1000) + 1);
    assert.ok(longest.lines > 0 && longest.lines <= most, `${longest.lines} lines were let through, ${most} may be`);
    assert.ok(longest.log <= 65_536);
  });

  it('leaves nothing running behind', async () => {
    await run('leaves-child');
    const child = Number(readFileSync(path.join(folder, 'child.pid'), 'utf8'));
    // It has let go of its files by now, and the system may need a moment to end it.
    await until(() => !isAlive(child));
  });

  it('is told in numbers of files when they are too many to be counted', () => {
    const { message } = stopError({ kind: 'over-quota', bytes: Number.POSITIVE_INFINITY }, 1000);
    assert.match(message, /its folder held more than 200000 files/);
  });

  it('has its memory told, where the system tells it', async function () {
    if (process.platform !== 'linux') this.skip();
    let peak = 0;
    const cancel = new AbortController();
    const onPeakRss = (bytes: number) => {
      peak = Math.max(peak, bytes);
      if (peak > 10e6) cancel.abort();
    };
    await failure('hang', { onPeakRss, signal: cancel.signal });
    assert.ok(peak > 10e6 && peak < 500e6, `${peak} bytes is no memory of a small program`);
  });
});

const AT_ONCE = { random: () => 0, wait: async () => undefined };

function isAlive(pid: number): boolean {
  try {
    // A zombie that init has not reaped yet has ended too.
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}
