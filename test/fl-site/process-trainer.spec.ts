import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ClaraError } from '../../base/errors';
import type { ProgressLine } from '../../federation/trainer-contract';
import { isRunning, type ProcessIdentity } from '../../fl-site/trainers/process-identity';
import { ProcessTrainer, type ProcessTrainerOptions } from '../../fl-site/trainers/process-trainer';
import type { TrainerWork } from '../../fl-site/trainers/trainer';
import { scriptedTrainer } from './support/scripted-trainer';
import { until } from './support/until';

const fromNow = (millis: number) => {
  const deadline = Date.now() + millis;
  return () => deadline;
};

describe('a trainer process', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'clara-trainer-'));
    mkdirSync(path.join(folder, 'state'));
    writeFileSync(path.join(folder, 'task.json'), JSON.stringify(TASK));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const work = (more: Partial<TrainerWork> = {}): TrainerWork => ({
    folder,
    deadline: fromNow(30_000),
    signal: new AbortController().signal,
    diskBytes: 1e9,
    uncounted: [],
    ...more,
  });
  const run = (mode: string, more: Partial<TrainerWork> = {}, options: Partial<ProcessTrainerOptions> = {}) =>
    new ProcessTrainer({ program: scriptedTrainer(mode), pacing: AT_ONCE, pollMillis: 20, ...options }).run(work(more));
  const failure = (mode: string, more: Partial<TrainerWork> = {}, options: Partial<ProcessTrainerOptions> = {}) =>
    run(mode, more, options).then(
      () => assert.fail('the trainer must fail'),
      (error: ClaraError) => error,
    );
  const starts = () => readFileSync(path.join(folder, 'starts.log'), 'utf8').length;

  it('is done when it exits with 0, and its progress was told', async () => {
    const lines: ProgressLine[] = [];
    await run('good');
    renameSync(path.join(folder, 'update.safetensors'), path.join(folder, 'global.safetensors'));
    const train = { ...TASK, kind: 'train', model: { input: 'global.safetensors', output: 'update.safetensors' } };
    writeFileSync(path.join(folder, 'task.json'), JSON.stringify({ ...train, parameters: { steps: 2 } }));
    await run('good', { onProgress: (line) => lines.push(line) });
    assert.deepEqual(lines, [
      { progress: 0.5, step: 1, metrics: { loss: 1 } },
      { progress: 1, step: 2, metrics: { loss: 0.5 } },
    ]);
    assert.equal(JSON.parse(readFileSync(path.join(folder, 'report.json'), 'utf8')).samples, 7);
  });

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

  it('is started once more after a failure, and fails with its last words after the second', async () => {
    await run('exit-1-once');
    assert.equal(starts(), 2);
    rmSync(path.join(folder, 'starts.log'));
    const error = await failure('exit-1');
    assert.equal(error.code, 'trainer-failed');
    assert.match(error.message, /exit code 1, and said last: the loss exploded at step 12/);
    assert.equal(starts(), 2);
  });

  it('is not started again when it calls its input bad', async () => {
    const error = await failure('exit-64');
    assert.equal(error.code, 'invalid-input');
    assert.match(error.message, /parameters\.patch must divide by 8/);
    assert.equal(starts(), 1);
  });

  it('is started again as often as it asks for, with waits between', async () => {
    const waits: number[] = [];
    const pacing = { random: () => 0.5, wait: async (millis: number) => void waits.push(millis) };
    await run('try-again-twice', {}, { pacing });
    assert.equal(starts(), 3);
    assert.deepEqual(waits, [1000, 2000]);
  });

  it('is not started again when the wait would pass the deadline', async () => {
    const pacing = { random: () => 0.999, wait: async () => assert.fail('nothing to wait for') };
    const error = await failure('try-again-twice', { deadline: fromNow(1500) }, { pacing });
    assert.equal(error.code, 'trainer-failed');
    assert.match(error.message, /75/);
  });

  it('that is ended by a signal has failed', async () => {
    const error = await failure('kills-itself');
    assert.match(error.message, /ended by SIGKILL/);
  });

  it('that does not exist is a sentence that names the setting', async () => {
    const error = await failure('', {}, { program: { command: '/nowhere/trainer', args: [] } });
    assert.equal(error.code, 'trainer-failed');
    assert.match(error.message, /nowhere\/trainer.*could not be started.*trainer\.command/);
  });

  it('that hangs is stopped at the deadline', async () => {
    const error = await failure('hang', { deadline: fromNow(300) });
    assert.equal(error.code, 'deadline-exceeded');
  });

  it('is stopped by SIGTERM when its task is cancelled', async () => {
    const cancel = new AbortController();
    const error = await failure('hang', { signal: cancel.signal, onProgress: () => cancel.abort() });
    assert.equal(error.code, 'cancelled');
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

  it('that fills the disk is killed with a sentence', async () => {
    const error = await failure('fill-disk', { diskBytes: 3_000_000 });
    assert.equal(error.code, 'resource-exhausted');
    assert.match(error.message, /more than the 3000000 of limits\.diskBytes/);
    assert.equal(starts(), 1);
  });

  it('that floods standard output costs neither memory nor the task', async () => {
    const longest = { log: 0, lines: 0 };
    const onLog = (line: string) => {
      longest.log = Math.max(longest.log, line.length);
      longest.lines++;
    };
    await run('garbage-stdout', { onLog, onProgress: () => assert.fail('none of it is progress') });
    assert.ok(longest.lines > 0 && longest.lines <= 400, `${longest.lines} lines were let through`);
    assert.ok(longest.log <= 65_536);
  });

  it('leaves nothing running behind', async () => {
    await run('leaves-child');
    const child = Number(readFileSync(path.join(folder, 'child.pid'), 'utf8'));
    // It has let go of its files by now, and the system may need a moment to end it.
    await until(() => !isAlive(child));
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

const TASK = {
  protocol: 1,
  kind: 'initialise',
  task: 'r/initialise/0/a',
  run: 'r',
  round: 0,
  rounds: 2,
  site: 'a',
  seed: 5,
  deadline: '2030-01-01T00:00:00Z',
  dataset: { kind: 'none', path: '' },
  parameters: {},
  model: { output: 'update.safetensors' },
};

function isAlive(pid: number): boolean {
  try {
    // A zombie that init has not reaped yet has ended too.
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}
