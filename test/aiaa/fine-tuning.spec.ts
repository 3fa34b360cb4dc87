import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, readlink, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { trainerParameters } from '../../aiaa/finetune/fine-tuning-task';
import { runTrainer } from '../../aiaa/finetune/trainer-run';
import { publishModel } from '../../aiaa/registry/publish-model';
import type { AnnotationServer } from '../../aiaa/server';
import { ClaraError } from '../../base/errors';
import { ownProgram } from '../../base/own-program';
import { identityOf, isRunning } from '../../base/process-identity';
import { readTensors } from '../../federation/tensors/file';
import { writePhantomDataset } from '../../imaging/phantom-dataset';
import { readModel } from '../../training/engine/model-file';
import { REFERENCE_TRAINER_MODULE } from '../../training/trainer/reference-trainer';
import { aboveLevel, levelConfig } from './support/onnx-models';
import { exchange, jsonOf, plainRequest, type RawReply, sentenceOf } from './support/raw-http';
import { TINY_CARD, writeTinyModel } from './support/reference-model';
import { eventually, Site } from './support/server';
import { startServerProcess } from './support/server-process';

const MODEL = 'clara_ct_tiny';

interface Status {
  readonly state: string;
  readonly progress: number;
  readonly version?: string;
  readonly message?: string;
}

describe('options of a fine-tuning', () => {
  it('count epochs in steps, and hand everything else to the trainer', () => {
    assert.equal(trainerParameters('epochs=5', 12).stepsPerRound, 60);
    assert.equal(trainerParameters('epochs=5, batch=4', 12).stepsPerRound, 15);
    assert.equal(trainerParameters(undefined, 7).stepsPerRound, 7);
    const own = trainerParameters('learningRate=0.1;optimiser=sgd&stepsPerRound=3', 7);
    assert.deepEqual([own.learningRate, own.optimiser, own.stepsPerRound], [0.1, 'sgd', 3]);
  });

  it('are refused all at once', () => {
    assert.throws(() => trainerParameters('epochs=0,hello,lr', 3), {
      code: 'invalid-input',
      message: /has 3 faults: .*hello.*lr.*epochs/s,
    });
  });
});

describe('a trainer of the annotation server', () => {
  it('does not run when no later server could know of it', async function () {
    if (process.platform !== 'linux') {
      console.log('    skipped: only /proc tells who works in a folder');
      this.skip();
    }
    const folder = await mkdtemp(path.join(await realpath(tmpdir()), 'aiaa-trainer-'));
    const working = async () => {
      const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
      const places = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')));
      return pids.filter((_, at) => places[at] === folder).map(Number);
    };
    try {
      await mkdir(path.join(folder, 'process.json')); // where the note would be
      const program = { command: process.execPath, args: ['-e', 'setInterval(() => {}, 1000)'] };
      const { signal } = new AbortController();
      const run = runTrainer({ program, folder, signal, graceMs: 10_000, onProgress: () => {} });
      await assert.rejects(run, (error: Error) => {
        assert.ok(error instanceof ClaraError);
        assert.match(error.message, /^the trainer was ended, since the note of it could not be written: .*EISDIR/);
        return true;
      });
      assert.deepEqual(await working(), []);
    } finally {
      for (const pid of await working()) process.kill(pid, 'SIGKILL');
      await rm(folder, { recursive: true });
    }
  });
});

describe('AIAA fine-tuning', () => {
  let site: Site;
  let server: AnnotationServer;
  const trainer = ownProgram(REFERENCE_TRAINER_MODULE);
  before(async () => {
    site = await Site.make();
    const file = path.join(site.workspace, 'tiny.safetensors');
    await writeTinyModel(file);
    await publishModel(site.workspace, { file, name: MODEL, version: '1' });
    await rm(file);
    const samples = path.join(site.workspace, 'samples', MODEL);
    await writePhantomDataset(samples, { cases: 2, heldOut: 1, seed: 4, shape: [24, 24, 16] });
    server = await site.serve({ engineModule: undefined, trainer });
  });
  after(() => site.clear());
  afterEach(() => eventually('no short-lived file is left', async () => (await site.leftovers()).length === 0));

  const ask = (method: string, target: string, to = server) =>
    exchange(to.port, plainRequest(method, target, ['Content-Length: 0']));
  const begin = (options: string, model = MODEL, to = server) =>
    ask('POST', `/admin/finetune/${model}/?options=${encodeURIComponent(options)}`, to);
  const statusOf = async (to = server) => jsonOf(await ask('GET', `/admin/finetune/${MODEL}`, to)) as Status;
  const ended = async (): Promise<Status> => {
    await eventually('the fine-tuning ends', async () => (await statusOf()).state !== 'running');
    return statusOf();
  };
  const served = async (to = server) =>
    (jsonOf(await ask('GET', `/v1/models?model=${MODEL}`, to)) as { version: string }).version;
  const sentence = (reply: RawReply, status: number) => {
    assert.equal(reply.status, status);
    return sentenceOf(reply);
  };

  it('learns from the samples of the workspace, one at a time, and serves the result as a new version', async () => {
    const reply = await begin('epochs=6');
    assert.equal(reply.status, 202);
    assert.equal((jsonOf(reply) as Status).state, 'running');
    assert.match(sentence(await begin('epochs=1'), 429), /is being fine-tuned \(\d+ % done\), and one at a time is/);
    const status = await ended();
    assert.equal(status.message, undefined);
    assert.equal(status.state, 'done');
    assert.match(status.version ?? '', /^1-[0-9a-f]{12}$/);
    assert.equal(await served(), status.version);

    const home = path.join(site.workspace, 'models', MODEL);
    const after = await readModel(path.join(home, status.version!, 'model.safetensors'));
    assert.deepEqual(after.card, TINY_CARD, 'the card is that of the model that it began with');
    const before = await readTensors(path.join(home, '1', 'model.safetensors'));
    const now = await readTensors(path.join(home, status.version!, 'model.safetensors'));
    const changed = [...now.tensors].filter(
      ([name, { data }]) => !before.tensors.get(name)!.data.every((value, at) => value === data[at]),
    );
    assert.equal(changed.length, now.tensors.size, 'every tensor has learned');

    const log = (await ask('GET', '/logs/?lines=100')).body.toString('utf8');
    assert.match(log, /"model":"clara_ct_tiny","progress":1,.*"msg":"fine-tuning"/);
    assert.match(log, /"msg":"fine-tuned model served"/);
    assert.doesNotMatch(log, /phantom_00/, 'no case is named');
  });

  it('leaves the version that is served when the trainer refuses, and says why', async () => {
    const version = await served();
    assert.equal((await begin('wobble=3')).status, 202);
    const status = await ended();
    assert.equal(status.state, 'failed');
    assert.match(status.message ?? '', /trainer refuses its input.*wobble/s);
    assert.equal(await served(), version);
  });

  it('refuses what cannot be fine-tuned before it begins', async () => {
    const onnx = path.join(site.workspace, 'level.onnx');
    await writeFile(onnx, aboveLevel(1));
    await publishModel(site.workspace, { file: onnx, name: 'level', engine: 'onnx', config: levelConfig() });
    const file = path.join(site.workspace, 'tiny.safetensors');
    await writeTinyModel(file, 8);
    await publishModel(site.workspace, { file, name: 'without_samples' });
    assert.match(sentence(await begin('epochs=1', 'level'), 400), /ONNX file, which does not learn/);
    assert.match(
      sentence(await begin('epochs=1', 'without_samples'), 404),
      /put a Decathlon dataset .* into samples\/without_samples/,
    );
    assert.match(sentence(await begin('epochs=1', 'unknown'), 404), /no model "unknown"/);
    assert.match(sentence(await begin('epochs=many'), 400), /epochs.*whole number/);
    assert.match(sentence(await ask('GET', '/admin/finetune/level'), 404), /was not fine-tuned/);
    for (const name of [onnx, file]) await rm(name);
    const list = path.join(site.workspace, 'samples', MODEL, 'dataset.json');
    const good = await readFile(list);
    await writeFile(list, '{}');
    assert.match(sentence(await begin('epochs=1'), 400), /samples of clara_ct_tiny cannot be used/);
    await writeFile(list, good);
  });

  it('ends the trainer of a server that was killed at the next start', async function () {
    this.timeout(60_000);
    const note = path.join(site.workspace, 'trainer-pid');
    const killed = await startServerProcess(
      site.workspace,
      `require('node:fs').writeFileSync(${JSON.stringify(note)}, String(process.pid)); setInterval(() => {}, 1000);`,
    );
    const begun = await exchange(
      killed.port,
      plainRequest('POST', `/admin/finetune/${MODEL}/?options=epochs%3D1`, ['Content-Length: 0']),
    );
    assert.equal(begun.status, 202, begun.body.toString());
    await eventually('the trainer works', async () => existsSync(note) && readFileSync(note, 'utf8') !== '');
    const left = identityOf(Number(await readFile(note, 'utf8')));
    await killed.kill();
    assert.ok(isRunning(left), 'it does not end with its server');
    await (await site.serve()).close();
    assert.ok(!isRunning(left));
    await rm(note);
  });

  it('ends its trainer with the server, and the old version stays', async () => {
    const version = await served();
    assert.equal((await begin('epochs=10000')).status, 202);
    await eventually('the trainer works', async () => (await statusOf()).progress > 0);
    await server.close();
    server = await site.serve({ engineModule: undefined });
    assert.equal(await served(), version);
    assert.match(sentence(await begin('epochs=1'), 501), /start the server with a trainer/);
  });
});
