import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ClaraError } from '../../base/errors';
import type { ProgressLine } from '../../federation/trainer-contract';
import type { Pacing } from '../../fl-site/backoff';
import type { Trainer, TrainerWork } from '../../fl-site/trainers/trainer';

export interface TrainerUnderTest {
  /** A new, empty task folder. */
  folder(): string;
  /** A trainer that runs the scripted program in this mode. */
  trainer(mode: string, options?: { readonly pacing?: Pacing }): Trainer;
  /** How a program that was ended by SIGKILL is described. */
  readonly killed: RegExp;
}

export const TASK = {
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

export const fromNow = (millis: number) => {
  const deadline = Date.now() + millis;
  return () => deadline;
};

export function workOn(folder: string, more: Partial<TrainerWork> = {}): TrainerWork {
  return {
    folder,
    deadline: fromNow(30_000),
    signal: new AbortController().signal,
    diskBytes: 1e9,
    uncounted: [],
    ...more,
  };
}

export async function failureOf(run: Promise<void>): Promise<ClaraError> {
  return run.then(
    () => assert.fail('the trainer must fail'),
    (error: ClaraError) => error,
  );
}

export const startsIn = (folder: string) => readFileSync(path.join(folder, 'starts.log'), 'utf8').length;

/** What every adapter of the port `Trainer` does with a program, wherever it runs. */
export function trainerContract(make: () => TrainerUnderTest): void {
  let it_: TrainerUnderTest;
  let folder: string;

  beforeEach(() => {
    it_ = make();
    folder = it_.folder();
    mkdirSync(path.join(folder, 'state'));
    writeFileSync(path.join(folder, 'task.json'), JSON.stringify(TASK));
  });

  const run = (mode: string, more: Partial<TrainerWork> = {}, pacing?: Pacing) =>
    it_.trainer(mode, pacing && { pacing }).run(workOn(folder, more));
  const failure = (mode: string, more: Partial<TrainerWork> = {}, pacing?: Pacing) =>
    failureOf(run(mode, more, pacing));

  it('is done when the program exits with 0, and its progress was told', async () => {
    const lines: ProgressLine[] = [];
    await run('good');
    renameSync(path.join(folder, 'update.safetensors'), path.join(folder, 'global.safetensors'));
    const train = { ...TASK, kind: 'train', model: { input: 'global.safetensors', output: 'update.safetensors' } };
    writeFileSync(path.join(folder, 'task.json'), JSON.stringify({ ...train, parameters: { steps: 2 } }));
    let started = 0;
    await run('good', { onProgress: (line) => lines.push(line), onStarted: async () => void started++ });
    assert.deepEqual(lines, [
      { progress: 0.5, step: 1, metrics: { loss: 1 } },
      { progress: 1, step: 2, metrics: { loss: 0.5 } },
    ]);
    assert.equal(JSON.parse(readFileSync(path.join(folder, 'report.json'), 'utf8')).samples, 7);
    assert.equal(started, 1);
  });

  it('is started once more after a failure, and fails with its last words after the second', async () => {
    await run('exit-1-once');
    assert.equal(startsIn(folder), 2);
    writeFileSync(path.join(folder, 'starts.log'), '');
    const error = await failure('exit-1');
    assert.equal(error.code, 'trainer-failed');
    assert.match(error.message, /exit code 1, and said last: the loss exploded at step 12/);
    assert.equal(startsIn(folder), 2);
  });

  it('is not started again when it calls its input bad', async () => {
    const error = await failure('exit-64');
    assert.equal(error.code, 'invalid-input');
    assert.match(error.message, /parameters\.patch must divide by 8/);
    assert.equal(startsIn(folder), 1);
  });

  it('is started again as often as it asks for', async () => {
    await run('try-again-twice');
    assert.equal(startsIn(folder), 3);
    assert.ok(existsSync(path.join(folder, 'report.json')));
  });

  it('is not started again when the wait would pass the deadline', async () => {
    // A wait of a minute before a deadline in half of one: a start of the program takes neither.
    const pacing = { random: () => 30, wait: async () => undefined };
    const error = await failure('try-again-twice', { deadline: fromNow(30_000) }, pacing);
    assert.equal(error.code, 'trainer-failed');
    assert.match(error.message, /75/);
    assert.equal(startsIn(folder), 1);
  });

  it('that is ended by a signal has failed', async () => {
    const error = await failure('kills-itself');
    assert.equal(error.code, 'trainer-failed');
    assert.match(error.message, it_.killed);
  });

  it('that hangs is stopped at the deadline', async () => {
    const error = await failure('hang', { deadline: fromNow(500) });
    assert.equal(error.code, 'deadline-exceeded');
  });

  it('is stopped when its task is cancelled', async () => {
    const cancel = new AbortController();
    const error = await failure('hang', { signal: cancel.signal, onProgress: () => cancel.abort() });
    assert.equal(error.code, 'cancelled');
  });

  it('that fills the disk is stopped with a sentence', async () => {
    const error = await failure('fill-disk', { diskBytes: 3_000_000 });
    assert.equal(error.code, 'resource-exhausted');
    assert.match(error.message, /more than the 3000000 of limits\.diskBytes/);
    assert.equal(startsIn(folder), 1);
  });
}
