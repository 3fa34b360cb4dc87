import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { writePhantomDataset } from '../../../imaging/phantom-dataset';
import { networkSpec } from '../../../training/engine/architecture';
import { writeModel } from '../../../training/engine/model-file';
import { initialWeights } from '../../../training/engine/weights';
import { zipOf } from '../../aiaa/support/zip';
import { Program } from '../../support/program';
import { S3Server } from '../../support/s3-server';
import { tarOf } from '../../support/tar-of';
import { BALL_CARD } from '../../training/ball-model';
import { mmarFiles, writeFiles } from '../support/mmar/mmar-files';

const DIGEST = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

describe('clara-fed site prepare', () => {
  let server: S3Server;
  let folder: string;
  let archive: Buffer;
  let model: Buffer;
  const at = (...names: string[]) => path.join(folder, ...names);

  before(async function () {
    server = await S3Server.start(this, 'versitygw');
    await server.bucket('hospital');
    folder = mkdtempSync(path.join(os.tmpdir(), 'clara-prepare-'));
    await writePhantomDataset(at('source'), { cases: 4, heldOut: 0, seed: 3, shape: [16, 24, 24] });
    archive = await tarOf(at('source'), 'Task09_Spleen');
    writeFileSync(at('Task09_Spleen.tar'), archive);
    await writeModel(at('model.safetensors'), {
      card: BALL_CARD,
      weights: initialWeights(networkSpec(BALL_CARD.channels), 1),
    });
    model = readFileSync(at('model.safetensors'));
    const client = server.client();
    for (const [Key, Body] of [
      ['in/Task09_Spleen.tar', archive],
      ['models/spleen 1.safetensors', model],
      ['spleen mmar.zip', await zipOf(under('spleen_1/', mmarFiles()))],
    ] as const) {
      await client.send(new PutObjectCommand({ Bucket: 'hospital', Key, Body }));
    }
    client.destroy();
  });
  after(async () => {
    await server?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  const everything = (name: string): string[] => {
    const mmar = at(name, 'mmar');
    return [
      ...['site', 'prepare', '--json', '--s3-endpoint', server.endpoint],
      ...['--dataset', 's3://hospital/in/Task09_Spleen.tar', '--dataset-sha256', DIGEST(archive)],
      ...['--into', at(name, 'spleen'), '--held-out', '1', '--gunzip'],
      ...['--mmar', 's3://hospital/spleen mmar.zip', '--mmar-into', mmar],
      ...[
        '--model',
        's3://hospital/models/spleen 1.safetensors',
        '--model-name',
        'spleen',
        '--annotation',
        at(name, 'aiaa'),
      ],
    ];
  };
  const run = async (args: readonly string[]) => {
    const program = new Program(args);
    const end = await program.ended;
    return { ...end, records: program.records };
  };

  it('fetches, unpacks, divides, tells the MMAR and serves the model; a second run changes nothing and says so', async () => {
    const first = await run(everything('whole'));
    assert.equal(first.code, 0, first.stderr);
    assert.equal(first.records.at(-1)!.changed, true);
    const list = JSON.parse(readFileSync(at('whole', 'spleen', 'dataset.json'), 'utf8'));
    assert.deepEqual([list.training.length, list.validation.length], [3, 1]);
    for (const { image, label } of [...list.training, ...list.validation]) {
      for (const file of [image, label]) {
        assert.match(file, /\.nii$/);
        const packed = gunzipSync(readFileSync(at('source', `${file}.gz`)));
        assert.ok(readFileSync(at('whole', 'spleen', file)).equals(packed), file);
      }
    }
    assert.deepEqual(environmentOf(at('whole', 'mmar')), {
      DATA_ROOT: at('whole', 'spleen'),
      DATASET_JSON: at('whole', 'mmar', 'config', 'dataset_0.json'),
      PROCESSING_TASK: 'segmentation',
      MMAR_EVAL_OUTPUT_PATH: 'eval',
      MMAR_CKPT_DIR: 'models',
      MMAR_CKPT: 'models/model.pt',
    });
    assert.deepEqual(JSON.parse(readFileSync(at('whole', 'mmar', 'config', 'dataset_0.json'), 'utf8')), list);
    assert.ok(statSync(at('whole', 'mmar', 'commands', 'train.sh')).mode & 0o111, 'a program');
    assert.ok(statSync(at('whole', 'mmar', 'models')).isDirectory());
    const [version] = readdirSync(at('whole', 'aiaa', 'models', 'spleen')).filter((name) => name !== 'current.json');
    assert.ok(readFileSync(at('whole', 'aiaa', 'models', 'spleen', version!, 'model.safetensors')).equals(model));
    assert.deepEqual(readdirSync(at('whole')).sort(), ['aiaa', 'mmar', 'spleen'], 'nothing is left over');

    const before = treeOf(at('whole'));
    const again = await run(everything('whole'));
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual(again.records.at(-1), { event: 'prepared', changed: false });
    const states = again.records.filter(({ event }) => event === 'step').map(({ step, state }) => [step, state]);
    assert.deepEqual(states, [
      ['place', 'nothing-to-do'],
      ['unpack-mmar', 'nothing-to-do'],
      ['mmar', 'nothing-to-do'],
      ['publish', 'nothing-to-do'],
    ]);
    assert.deepEqual(treeOf(at('whole')), before, 'not a byte and not a time of change');
  });

  it('killed at the beginning of each step, goes on to the same result', async () => {
    for (const step of [
      'fetch-dataset',
      'unpack',
      'place',
      'fetch-mmar',
      'unpack-mmar',
      'mmar',
      'fetch-model',
      'publish',
    ]) {
      const program = new Program(everything('killed'));
      await program.record((record) => record.step === step, step);
      program.kill('SIGKILL');
      await program.ended;
    }
    const { code, stderr } = await run(everything('killed'));
    assert.equal(code, 0, stderr);
    const contents = (name: string) =>
      treeOf(at(name, 'spleen')).map(([file]) => [file, readFileSync(at(name, 'spleen', file)).toString('base64')]);
    assert.deepEqual(contents('killed'), contents('whole'));
    const mmar = (name: string) =>
      treeOf(at(name, 'mmar')).map(([file, size]) => [file, file.includes('environment') || size]);
    assert.deepEqual(mmar('killed'), mmar('whole'));
    assert.deepEqual(readdirSync(at('killed')).sort(), ['aiaa', 'mmar', 'spleen']);
  });

  it('takes a folder or an archive of this machine, and leaves a folder alone that it did not make', async () => {
    const local = ['site', 'prepare', '--json', '--into', at('local')];
    const fromFile = await run([...local, '--dataset', at('Task09_Spleen.tar')]);
    assert.equal(fromFile.code, 0, fromFile.stderr);
    assert.ok(existsSync(at('local', 'dataset.json')) && existsSync(at('Task09_Spleen.tar')));
    const other = await run([...local, '--dataset', at('source'), '--held-out', '1']);
    assert.equal(other.code, 64);
    assert.match(other.stderr, /was prepared from .*Task09_Spleen\.tar in another way/);
    const foreign = await run(['site', 'prepare', '--dataset', at('source'), '--into', at('source')]);
    assert.match(foreign.stderr, /was not made by this command/);
  });

  it('serves the model that an MMAR brings, and tells an MMAR that lies unpacked', async () => {
    const brought = { ...mmarFiles(), 'models/model.safetensors': model };
    writeFiles(at('brought'), brought);
    const args = ['site', 'prepare', '--json', '--dataset', at('Task09_Spleen.tar'), '--into', at('dataset')];
    const serving = [
      '--mmar',
      at('brought'),
      '--mmar-task',
      'annotation',
      '--model-name',
      'own',
      '--annotation',
      at('own'),
    ];
    const first = await run([...args, ...serving]);
    assert.equal(first.code, 0, first.stderr);
    assert.deepEqual(environmentOf(at('brought')).PROCESSING_TASK, 'annotation');
    const [version] = readdirSync(at('own', 'models', 'own')).filter((name) => name !== 'current.json');
    assert.ok(readFileSync(at('own', 'models', 'own', version!, 'model.safetensors')).equals(model));
    assert.equal((await run([...args, ...serving])).records.at(-1)!.changed, false);

    writeFileSync(at('mmar.zip'), await zipOf(under('x/', brought)));
    const fromZip = [
      'site',
      'prepare',
      '--json',
      '--model',
      at('mmar.zip'),
      '--model-name',
      'own',
      '--annotation',
      at('zip'),
    ];
    assert.equal((await run(fromZip)).code, 0);
    assert.deepEqual((await run(fromZip)).records.at(-1), { event: 'prepared', changed: false });
  });

  it('refuses another digest, and a bucket or key that is not there', async () => {
    const wrong = ['--dataset-sha256', `sha256:${'a'.repeat(64)}`];
    const start = ['site', 'prepare', '--s3-endpoint', server.endpoint, '--into', at('never')];
    const other = await run([...start, '--dataset', 's3://hospital/in/Task09_Spleen.tar', ...wrong]);
    assert.equal(other.code, 65);
    assert.match(other.stderr, /not the promised/);
    const missing = await run([...start, '--dataset', 's3://hospital/in/Task10.tar']);
    assert.equal(missing.code, 66, missing.stderr);
    assert.equal(existsSync(at('never')), false);
  });
});

const under = (top: string, files: Readonly<Record<string, string | Buffer>>) =>
  Object.fromEntries(Object.entries(files).map(([name, content]) => [`${top}${name}`, content]));

const environmentOf = (mmar: string) => JSON.parse(readFileSync(path.join(mmar, 'config', 'environment.json'), 'utf8'));

/** Files below a folder with size and time of change. */
function treeOf(folder: string): [file: string, size: number, changed: number][] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name): [string, number, number] => {
      const { size, mtimeMs } = statSync(path.join(folder, name));
      return [name, size, mtimeMs];
    })
    .filter(([name]) => statSync(path.join(folder, name)).isFile());
}
