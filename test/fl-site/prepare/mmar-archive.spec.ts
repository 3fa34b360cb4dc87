import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { ClaraError } from '../../../base/errors';
import type { Helpers, StepReport } from '../../../fl-site/prepare/local-file';
import { prepareSite } from '../../../fl-site/prepare/prepare-site';
import { renamed, zipOf } from '../../aiaa/support/zip';
import { mmarFiles, tarOfFiles } from '../support/mmar/mmar-files';

describe('an archive with an MMAR', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'clara-mmar-archive-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const at = (...names: string[]) => path.join(folder, ...names);

  /** @returns steps and what went wrong */
  async function prepare(
    archive: Buffer | string,
    model = false,
  ): Promise<{ steps: StepReport[]; error?: ClaraError }> {
    writeFileSync(at('archive'), archive);
    const steps: StepReport[] = [];
    const helpers: Helpers = {
      isRemote: () => false,
      openRemote: () => assert.fail('nothing is elsewhere'),
      published: async () => undefined,
      publish: () => assert.fail('nothing is published'),
      onStep: (step) => steps.push(step),
      signal: new AbortController().signal,
    };
    const mmar = { from: at('archive'), into: at('rooms', 'mmar') };
    return prepareSite({ mmar, ...(model && { model: { scratch: at('scratch') } }) }, helpers).then(
      () => ({ steps }),
      (error: unknown) => ({ steps, error: error instanceof ClaraError ? error : assert.fail(String(error)) }),
    );
  }

  for (const [title, pack] of [
    ['zip with a top folder', () => zipOf(under('spleen_v1/', mmarFiles()))],
    ['zip without one', () => zipOf(mmarFiles())],
    ['tar with a top folder', () => tarOfFiles(under('spleen_v1/', mmarFiles()))],
    ['gzipped tar', async () => gzipSync(await tarOfFiles(mmarFiles()))],
  ] as const) {
    it(`is unpacked whole: ${title}`, async () => {
      const { error } = await prepare(await pack());
      assert.equal(error, undefined, error?.message);
      for (const [name, content] of Object.entries(mmarFiles())) {
        assert.equal(readFileSync(at('rooms', 'mmar', name), 'utf8'), content, name);
      }
      assert.deepEqual(readdirSync(at('rooms')), ['mmar'], 'nothing is left over');
    });
  }

  it('is refused with everything that the MMAR lacks', async () => {
    const { 'commands/train.sh': _, ...broken } = mmarFiles();
    const { error } = await prepare(
      await zipOf({ ...broken, 'config/environment.json': '[]', 'config/config_train.json': '{}' }),
    );
    assert.equal(error?.code, 'invalid-input');
    assert.deepEqual(
      error.faults.map(({ path: where, rule }) => `${where} ${rule}`),
      [
        'config/environment.json must be one JSON object',
        'config/config_train.json must take its data from "{DATA_ROOT}" of environment.json',
        'config/config_train.json must take its data from "{DATASET_JSON}" of environment.json',
        'commands/train.sh must be there: an MMAR of Clara Train 4 has it',
      ],
    );
    assert.equal(existsSync(at('rooms', 'mmar')), false);
  });

  it('writes nothing outside of the folder, and is refused when it is damaged or none', async () => {
    const good = await zipOf({ ...mmarFiles(), 'docs/abc/escaped': 'x' });
    const outside = ['../../../escaped', '/tmp/abc/escaped', '..\\..\\..\\escaped'];
    const bad: [Buffer, string][] = [
      ...outside.map((name): [Buffer, string] => [renamed(good, 'docs/abc/escaped', name), 'corrupt']),
      [await tarOfFiles({ ...mmarFiles(), '../../../escaped': 'x' }), 'corrupt'],
      [good.subarray(0, good.length - 60), 'corrupt'],
      [Buffer.from('neither zip nor tar'), 'corrupt'],
      [await zipOf({ 'a/b/config/x': '' }), 'invalid-input'],
    ];
    for (const [archive, code] of bad) {
      const { error } = await prepare(archive);
      assert.equal(error?.code, code, error?.message);
      assert.equal(existsSync(at('rooms', 'mmar')), false);
      assert.equal(existsSync(at('escaped')), false);
      rmSync(at('rooms'), { recursive: true, force: true });
    }
    assert.equal(existsSync('/tmp/abc/escaped'), false);
  });

  it('with PyTorch files alone has no model that is served, and says what to do', async () => {
    const { error } = await prepare(await zipOf({ ...mmarFiles(), 'models/model.pt': 'PK' }), true);
    assert.equal(error?.code, 'unsupported');
    assert.match(error.message, /export the network to ONNX/);
    assert.ok(existsSync(at('rooms', 'mmar', 'models', 'model.pt')), 'it can be trained all the same');
  });
});

const under = (top: string, files: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(files).map(([name, content]) => [`${top}${name}`, content]));
