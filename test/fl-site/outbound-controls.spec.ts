import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { prepareOutbound } from '../../fl-site/outbound-update';
import { decodeModel, encodeModel, type PlainTensor } from './support/model-bytes';

const GLOBAL = {
  'enc.w': { shape: [2, 2], values: [1, 2, 3, 4] },
  'bn.count': { shape: [], dtype: 'I64' as const, values: [7] },
  'enc.b': { shape: [2], values: [5, 6] },
};
const UPDATE = {
  'enc.w': { shape: [2, 2], values: [10, 20, 30, 40] },
  'bn.count': { shape: [], dtype: 'I64' as const, values: [8] },
  'enc.b': { shape: [2], values: [50, 60] },
};
const CONTROLS = {
  'enc.b': { shape: [2], values: [0.5, 0.25] },
  'enc.w': { shape: [2, 2], values: [-1, -2, -3, -4] },
};

describe('an update with a control variate', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'clara-outbound-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const prepared = async (
    controls: Readonly<Record<string, PlainTensor>>,
    { excluded = [], maxBytes = 1e6 }: { excluded?: RegExp[]; maxBytes?: number } = {},
  ) => {
    const place = (name: string, tensors: Readonly<Record<string, PlainTensor>>): string => {
      const file = path.join(folder, name);
      writeFileSync(file, encodeModel(tensors));
      return file;
    };
    const made = await prepareOutbound({
      global: place('global', GLOBAL),
      update: place('update', UPDATE),
      controls: place('controls', controls),
      outbound: path.join(folder, 'outbound'),
      excluded,
      maxBytes,
      signal: new AbortController().signal,
    });
    const bytes = readFileSync(made.file);
    assert.equal(made.size, bytes.length);
    assert.ok(createHash('sha256').update(bytes).digest().equals(made.sha256));
    return Object.entries(decodeModel(bytes)).map(([name, { values }]) => [name, values]);
  };

  it('is one file: the tensors of the model, then the control in the order of the model', async () => {
    assert.deepEqual(await prepared(CONTROLS), [
      ['enc.w', [10, 20, 30, 40]],
      ['bn.count', [8]],
      ['enc.b', [50, 60]],
      ['scaffold-control/enc.w', [-1, -2, -3, -4]],
      ['scaffold-control/enc.b', [0.5, 0.25]],
    ]);
  });

  it('holds neither values nor gradients of excluded tensors', async () => {
    assert.deepEqual(await prepared(CONTROLS, { excluded: [/w$/u] }), [
      ['enc.w', [1, 2, 3, 4]],
      ['bn.count', [8]],
      ['enc.b', [50, 60]],
      ['scaffold-control/enc.w', [0, 0, 0, 0]],
      ['scaffold-control/enc.b', [0.5, 0.25]],
    ]);
  });

  it('is refused when the control is not one of this model, naming every tensor', async () => {
    const wrong = { 'enc.b': { shape: [1], values: [1] }, extra: { shape: [1], values: [1] } };
    await assert.rejects(prepared(wrong), (error: unknown) => {
      assert.ok(error instanceof ClaraError && error.code === 'invalid-input');
      assert.deepEqual(error.faults.map(({ path: name }) => name).sort(), ['enc.b', 'enc.w', 'extra']);
      assert.match(error.message, /the control variate that the trainer wrote/);
      return true;
    });
    const infinite = { ...CONTROLS, 'enc.b': { shape: [2], values: [1, Number.POSITIVE_INFINITY] } };
    await assert.rejects(prepared(infinite), /enc\.b element 1 is \+?[Ii]nf/);
  });

  it('counts against the limit with both', async () => {
    await assert.rejects(
      prepared(CONTROLS, { maxBytes: encodeModel(UPDATE).length + 10 }),
      (error: unknown) => error instanceof ClaraError && error.code === 'resource-exhausted',
    );
  });
});
