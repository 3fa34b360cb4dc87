import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { REAL_PACING } from '../../fl-site/backoff';
import { checkSiteConfiguration } from '../../fl-site/configuration';
import { checkTrainer } from '../../fl-site/trainer-check';
import { makeTrainer, trainerProgram } from '../../fl-site/trainers/make-trainer';
import type { TrainerWork } from '../../fl-site/trainers/trainer';
import { failureOf, TASK, workOn } from '../contract/trainer.contract';
import { until } from '../support/until';
import { mmarFiles, writeFiles } from './support/mmar/mmar-files';
import { makeMmar, STAND_IN, shifted, WEIGHTS } from './support/mmar/stand-in';
import { decodeModel, encodeModel } from './support/model-bytes';

const SEED = 5;

describe('the trainer of an MMAR', () => {
  let root: string;
  let mmar: string;
  let dataset: string;
  let tasks = 0;
  const at = (...names: string[]) => path.join(root, ...names);

  before(function () {
    if (spawnSync('python3', ['--version']).status !== 0) {
      console.log('      skipped: there is no python3 to run an MMAR with');
      this.skip();
    }
    root = mkdtempSync(path.join(os.tmpdir(), 'clara-mmar-'));
    ({ mmar, dataset } = makeMmar(root, 'python3'));
  });
  after(() => {
    if (root) rmSync(root, { recursive: true, force: true });
  });

  /** A site whose trainer is the MMAR; its program is told of `environment`. */
  const site = (settings: object = {}, environment: Record<string, string> = {}) =>
    checkSiteConfiguration(
      {
        id: 'a',
        coordinator: 'localhost:1',
        credentials: 'c',
        workspace: at('workspace'),
        dataset: { kind: 'decathlon', path: dataset },
        trainer: {
          name: 'mmar',
          adapter: 'mmar',
          mmar: { folder: mmar, set: { multi_gpu: false }, ...settings },
          environment: { PYTHONPATH: STAND_IN, PYTHONDONTWRITEBYTECODE: '1', ...environment },
        },
      },
      root,
    );
  const train = (
    folder: string,
    settings?: object,
    environment?: Record<string, string>,
    more?: Partial<TrainerWork>,
  ) => makeTrainer(site(settings, environment), { pacing: REAL_PACING }).run(workOn(folder, more));
  const task = (parameters: object = {}, model = WEIGHTS, more: object = {}) => {
    const folder = at(`task-${++tasks}`);
    mkdirSync(path.join(folder, 'state'), { recursive: true });
    const document = {
      ...TASK,
      kind: 'train',
      task: `r/train/1/a#${tasks}`,
      seed: SEED,
      dataset: { kind: 'decathlon', path: dataset },
      parameters,
      model: { input: 'global.safetensors', output: 'update.safetensors' },
      ...more,
    };
    writeFileSync(path.join(folder, 'task.json'), JSON.stringify(document));
    writeFileSync(path.join(folder, 'global.safetensors'), model);
    return folder;
  };
  const updateIn = (folder: string) => decodeModel(readFileSync(path.join(folder, 'update.safetensors')));
  const reportIn = (folder: string) => JSON.parse(readFileSync(path.join(folder, 'report.json'), 'utf8'));
  const alive = (pid: number) => {
    try {
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
      return false;
    }
  };

  for (const launch of ['module', 'script']) {
    it(`trains from the global model by the ${launch} of Clara Train, and leaves the MMAR as it was`, async () => {
      const before = treeOf(mmar);
      const folder = task({ epochs: 2, learning_rate: 0.25 });
      const lines: string[] = [];
      const progress: number[] = [];
      await train(
        folder,
        { launch },
        {},
        { onLog: (line) => lines.push(line), onProgress: (line) => progress.push(line.progress) },
      );
      assert.deepEqual(updateIn(folder), shifted(WEIGHTS, { seed: SEED, epochs: 2, rate: 0.25 }));
      const { samples, steps, metrics } = reportIn(folder);
      assert.deepEqual([samples, steps], [3, 6]);
      assert.deepEqual(metrics, {
        train_loss: 0.1667,
        val_mean_dice: 0.6667,
        best_validation_metric: 0.75,
        total_epochs: 2,
      });
      assert.ok(lines.some((line) => line.includes('Epoch: 2/2, Iter: 3/3')));
      assert.equal(progress.at(-1), 1);
      assert.deepEqual(treeOf(mmar), before);
    });
  }

  it('makes first weights of the model that the MMAR comes with', async () => {
    const folder = task({}, WEIGHTS, { kind: 'initialise', model: { output: 'update.safetensors' } });
    await train(folder);
    assert.deepEqual(updateIn(folder), decodeModel(WEIGHTS));
  });

  it('runs no code of a checkpoint', async () => {
    const evil = at('evil');
    const proof = at('code-was-run');
    writeFiles(evil, mmarFiles());
    mkdirSync(path.join(evil, 'models'));
    const script = `
import os, pickle, sys, zipfile
class Evil:
    def __reduce__(self):
        return os.mkdir, (sys.argv[2],)
zipfile.ZipFile(sys.argv[1], "w").writestr("a/data.pkl", pickle.dumps({"model": {}, "x": Evil()}, 2))
`;
    execFileSync('python3', ['-c', script, path.join(evil, 'models', 'model.pt'), proof]);
    const folder = task({}, WEIGHTS, { kind: 'initialise', model: { output: 'update.safetensors' } });
    const error = await failureOf(train(folder, { folder: evil }));
    assert.match(error.message, /model\.pt holds 0 tensors/);
    assert.equal(existsSync(proof), false);
  });

  it('keeps the trainer contract', async () => {
    const program = trainerProgram(site(), undefined);
    const { steps } = await checkTrainer(program, {
      dataset: { kind: 'decathlon', path: dataset },
      parameters: { epochs: 2 },
      environment: { ...site().trainer.environment, STAND_IN_PAUSE: '0.4' },
      timeoutMillis: 60_000,
    });
    const said = JSON.stringify(steps, undefined, 1);
    assert.deepEqual(
      steps.filter(({ outcome }) => outcome === 'failed'),
      [],
      said,
    );
    assert.deepEqual(
      steps.filter(({ outcome }) => outcome === 'skipped').map(({ reason }) => /evaluate/.test(reason)),
      [true],
      said,
    );
  });

  it('names all that an MMAR and a plan lack; what the site lets plans set may be set', async () => {
    const bad = at('bad');
    mkdirSync(path.join(bad, 'config'), { recursive: true });
    writeFileSync(
      path.join(bad, 'config', 'config_train.json'),
      JSON.stringify({ epochs: 3, train: { handlers: [] } }),
    );
    const error = await failureOf(train(task({ amp: true, learning_rate: '{X}' }), { folder: bad, launch: 'script' }));
    assert.equal(error.code, 'invalid-input');
    for (const fault of [
      /config\/environment\.json: No such file/,
      /commands\/train\.sh is not there/,
      /the plan sets amp; this site lets plans set epochs, learning_rate/,
      /learning_rate must be a finite number/,
      /has no variable multi_gpu/,
      /has no CheckpointLoader/,
      /has no CheckpointSaver/,
    ]) {
      assert.match(error.message, fault);
    }
    await train(task({ multi_gpu: true }), { allow: ['multi_gpu'] });
  });

  it('says that training failed, not what it printed, and which tensors are of another network', async () => {
    const failed = await failureOf(train(task(), {}, { STAND_IN: 'fails' }));
    assert.equal(failed.code, 'trainer-failed');
    assert.match(failed.message, /ended with exit code 3; what it said is in the site's log/);
    assert.doesNotMatch(failed.message, /CUDA/);
    const nothing = await failureOf(train(task(), {}, { STAND_IN: 'saves-nothing' }));
    assert.match(nothing.message, /left no models\/final_model\.pt/);
    const other = encodeModel({ 'a.b': { shape: [2], values: [1, 2] } });
    const folder = task({}, other);
    await train(folder);
    const trained = path.join(folder, 'tmp', 'mmar', 'models', 'final_model.pt');
    writeFileSync(trained, readFileSync(path.join(mmar, 'models', 'model.pt')));
    const mixed = await failureOf(train(folder));
    assert.match(mixed.message, /a\.b is not in it; conv\.weight is not in the model/);
  });

  it('stopped, ends all that the MMAR started, and started again makes the same update; what was trained is not trained twice', async () => {
    const folder = task({ epochs: 1 });
    const note = at('hangs');
    const stop = new AbortController();
    const running = failureOf(train(folder, {}, { STAND_IN: 'hangs-once', HANG_FILE: note }, { signal: stop.signal }));
    await until(() => existsSync(note), 'the MMAR trains');
    const pids = readFileSync(note, 'utf8').split(' ').map(Number);
    assert.deepEqual(pids.map(alive), [true, true]);
    stop.abort();
    assert.equal((await running).code, 'cancelled');
    await until(() => !pids.some(alive), 'what it started is gone');
    assert.equal(existsSync(path.join(folder, 'report.json')), false);

    await train(folder, {}, { STAND_IN: 'hangs-once', HANG_FILE: note });
    const expected = shifted(WEIGHTS, { seed: SEED, epochs: 1, rate: 0.0002 });
    assert.deepEqual(updateIn(folder), expected);
    const report = reportIn(folder);
    rmSync(path.join(folder, 'update.safetensors'));
    rmSync(path.join(folder, 'report.json'));
    await train(folder, {}, { STAND_IN: 'fails' });
    assert.deepEqual([updateIn(folder), reportIn(folder)], [expected, report]);
  });

  it('writes what PyTorch reads, and reads what it writes', async function () {
    const python = ['python3', '/usr/bin/python3'].find((name) => spawnSync(name, ['-c', 'import torch']).status === 0);
    if (python === undefined) {
      console.log('      skipped: no Python here has PyTorch');
      this.skip();
    }
    const folder = task({ epochs: 2, learning_rate: 0.25 });
    await train(folder, { python }, { STAND_IN_TORCH: '1' });
    assert.deepEqual(updateIn(folder), shifted(WEIGHTS, { seed: SEED, epochs: 2, rate: 0.25 }));
  });
});

function treeOf(folder: string): [string, string][] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }): [string, string] => [
      path.join(parentPath, name),
      readFileSync(path.join(parentPath, name), 'hex'),
    ])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
