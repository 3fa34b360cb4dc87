import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { openIncoming } from '../../aiaa/registry/intake/incoming-model';
import { ClaraError } from '../../base/errors';
import { withArchive } from '../../base/zip-archive';
import { aboveLevel, levelConfig } from './support/onnx-models';
import { renamed, zipOf } from './support/zip';

describe('models that are sent', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'intake-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function open(data: Buffer | string, maxBytes = 2 ** 20) {
    const file = path.join(folder, 'data');
    await writeFile(file, data);
    return openIncoming({ data: file, folder, maxBytes });
  }

  it('are told by their bytes, whatever they are called', async () => {
    assert.equal((await open(aboveLevel(3))).engine, 'onnx');
    const header = Buffer.from('{"__metadata__":{}}');
    const length = Buffer.alloc(8);
    length.writeUInt32LE(header.length);
    assert.equal((await open(Buffer.concat([length, header]))).engine, 'reference');
    await assert.rejects(open(''), { code: 'unsupported' });
  });

  it('are taken out of an archive wherever the MMAR lies in it, its configuration too', async () => {
    const config = JSON.stringify(levelConfig({ version: 'deep' }));
    const zip = await zipOf({
      'a/b/config/config_train.json': '{"epochs": 3}',
      'a/b/config/config_infer.json': config,
      'a/b/models/model.onnx': aboveLevel(3),
      'a/b/models/old/models/model.onnx': aboveLevel(9),
    });
    const { engine, file, config: found } = await open(zip);
    assert.equal(engine, 'onnx');
    assert.deepEqual(await readFile(file), aboveLevel(3), 'the one that lies highest');
    assert.deepEqual(found, levelConfig({ version: 'deep' }), 'the only JSON that looks like one');
    assert.ok(
      (await readdir(folder)).every((name) => /^(data|unpacked-model|unpacked-config-\d)$/.test(name)),
      'names of our own',
    );
  });

  it('never leave the archive, and give no more than was said and allowed', async () => {
    const good = await zipOf({ 'abc/model.onnx': Buffer.alloc(5000, 8) });
    for (const name of ['../x/model.onnx', '/abcd/x.onnx..', 'C:/x/model.onn', '..\\x\\model.onn']) {
      const bad = renamed(good, 'abc/model.onnx', name.padEnd(14, 'x').slice(0, 14));
      await assert.rejects(open(bad), { code: 'corrupt' }, name);
    }
    await assert.rejects(open(good, 4999), {
      code: 'resource-exhausted',
      message: /model\.onnx in the archive is larger/,
    });
    const lying = Buffer.from(good);
    lying.writeUInt32LE(10, lying.indexOf('PK\x01\x02', 0, 'latin1') + 24); // uncompressed size, APPNOTE 4.3.12
    await assert.rejects(open(lying), { code: 'corrupt' });
    assert.deepEqual(
      await withArchive(path.join(folder, 'data'), async (files) => files.map(({ bytes }) => bytes)),
      [10],
    );
  });

  it('are answered with an error of ours, however an archive is damaged', async () => {
    const zip = await zipOf({
      'config/config_aiaa.json': JSON.stringify(levelConfig()),
      'models/model.onnx': aboveLevel(3),
    });
    const damage = fc.array(fc.tuple(fc.nat(zip.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(damage, fc.integer({ min: 2, max: zip.length }), async (changes, length) => {
        await rm(folder, { recursive: true });
        folder = await mkdtemp(path.join(tmpdir(), 'intake-'));
        const bytes = Buffer.from(zip);
        for (const [at, value] of changes) if (at > 1) bytes[at] = value;
        try {
          await open(bytes.subarray(0, length));
        } catch (error) {
          assert.ok(error instanceof ClaraError, String(error));
          assert.notEqual(error.code, 'internal', error.message);
        }
      }),
      { numRuns: 60 },
    );
  });
});
