import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ClaraError } from '../../../base/errors';
import { makeChunk, type WireChunk } from '../../../federation/chunk-codec';
import { encode } from '../../../federation/encodings/encode';
import { encodedHeader } from '../../../federation/encodings/encoded-layout';
import type { Encoding } from '../../../federation/encodings/encoding';
import { Uploads } from '../../../fl-coordinator/api/uploads';
import { decodeUpdate } from '../../../fl-coordinator/encodings/decode-update';
import { makeWireModel } from '../../../fl-coordinator/encodings/wire-model';
import { sentUpdateKey, updateKey } from '../../../fl-coordinator/runs/object-names';
import { openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { type ObjectStore, readAll } from '../../../fl-coordinator/storage/object-store';
import { collected, fileOf, float32, inMemory } from '../../federation/encodings/tensor-files';
import { rejectsWith } from '../api/support/rejects';
import { siteTask } from '../api/support/tasks';

const signal = new AbortController().signal;
const isKept = (): boolean => false;
const ENCODING: Encoding = { encoding: 'int8', delta: true, rounding: 'nearest' };
const TASK = siteTask('run-1', 'a');
const SENT = sentUpdateKey(TASK.run, TASK.stage, TASK.site);
const STORED = updateKey(TASK.run, TASK.stage, TASK.site);
const BASE = 'base.safetensors';
const model = fileOf([
  float32(
    'w',
    Array.from({ length: 1000 }, (_, i) => i / 4),
  ),
]);
/** Every change is a multiple of the scale, so that nothing is lost. */
const update = fileOf([
  float32(
    'w',
    Array.from({ length: 1000 }, (_, i) => i / 4 + (i % 2 === 0 ? 127 : (i % 101) - 50)),
  ),
]);

describe('an update that is sent encoded', () => {
  let folder: string;
  let store: ObjectStore & { close(): Promise<void> };
  let uploads: Uploads;
  let sent: Buffer;
  let failures: ClaraError[];

  const open = (): Uploads =>
    new Uploads({
      store,
      layoutFor: async () => encodedHeader(inMemory(model).layout, ENCODING, isKept).layout,
      encodedFor: () => ({
        key: SENT,
        decode: async () => {
          const failure = failures.pop();
          if (failure) throw failure;
          const what = 'the update of a for round 1';
          return decodeUpdate({
            store,
            sent: SENT,
            target: STORED,
            base: BASE,
            encoding: ENCODING,
            isKept,
            leftOut: [],
            what,
            signal,
          });
        },
      }),
      onBytes: () => undefined,
      maxBytes: 1 << 20,
    });
  const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();
  const digest = (bytes: Buffer): string => `sha256:${sha256(bytes).toString('hex')}`;
  const status = (bytes: Buffer) => uploads.status(TASK, { size: bytes.length, sha256: sha256(bytes).toString('hex') });
  async function* chunksOf(bytes: Buffer, from = 0): AsyncGenerator<WireChunk> {
    yield makeChunk(from, bytes.subarray(from), { size: bytes.length, sha256: sha256(bytes) });
  }
  const stored = () => readAll(store, STORED, 1 << 20);
  const absent = (key: string) => rejectsWith('not-found', store.head(key));

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-encoded-'));
    store = await openDirectoryStore(path.join(folder, 'store'));
    await store.put(BASE, model);
    const request = { encoding: ENCODING, source: inMemory(update), base: inMemory(model), isKept, seed: 1 };
    sent = await collected(encode({ ...request, what: 'the update', signal }));
    failures = [];
    uploads = open();
  });
  afterEach(async () => {
    await uploads.close();
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('is durable as it was sent and as it decodes to, before it is acknowledged', async () => {
    const receipt = await uploads.receive(TASK, chunksOf(sent));
    assert.deepEqual(receipt, {
      ...{ digest: digest(sent), bytes: sent.length },
      stored: { digest: digest(update), bytes: update.length },
    });
    assert.deepEqual(await readAll(store, SENT, 1 << 20), sent);
    assert.deepEqual(await stored(), update);
  });

  it('is decoded again when the coordinator could not, or has died before', async () => {
    failures = [new ClaraError('out-of-space', 'the disk is full')];
    await rejectsWith('out-of-space', uploads.receive(TASK, chunksOf(sent)));
    await absent(STORED);
    assert.equal(uploads.receiptOf(TASK.id), undefined);
    for (const restarted of [false, true]) {
      if (restarted) uploads = open();
      assert.equal(await status(sent), sent.length, 'nothing is sent twice');
      assert.equal(uploads.receiptOf(TASK.id)!.stored!.digest, digest(update));
      assert.deepEqual(await stored(), update);
    }
  });

  it('that cannot be read back is refused by the name of its tensor, and nothing of it stays', async () => {
    const { layout } = inMemory(sent);
    const scales = layout.tensors.find(({ name }) => name === 'w#scales')!;
    const large = Buffer.from(sent);
    large.writeFloatLE(3.4e38, layout.headerBytes.length + scales.begin);
    const error = await rejectsWith('invalid-input', uploads.receive(TASK, chunksOf(large)), 'w: element 0');
    assert.ok(error.faults.length > 0, 'the site is told that sending it again is no use');
    await absent(SENT);
    await absent(STORED);
  });

  it('that is not the encoding of the plan is refused with its first bytes', async () => {
    await rejectsWith('invalid-input', uploads.receive(TASK, chunksOf(update)), 'w#scales: is missing');
    const scales = Buffer.from(sent);
    scales.writeFloatLE(Number.NaN, scales.length - 4);
    await rejectsWith('invalid-input', uploads.receive(TASK, chunksOf(scales)), 'w#scales element 3 is NaN');
  });
});

describe('encoded files in the store', () => {
  let folder: string;
  let store: ObjectStore & { close(): Promise<void> };

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-wire-'));
    store = await openDirectoryStore(path.join(folder, 'store'));
  });
  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('an update without the tensors that are frozen decodes to the others alone, relative to the whole model', async () => {
    const [frozen, head] = [float32('backbone', [0.1, 0.2, 0.3]), float32('head', [1, 2, 3])];
    await store.put('whole', fileOf([frozen, head], { made: 'by hand' }));
    const own = fileOf([float32('head', [1 + 127, 2 - 64, 3])], { made: 'by hand' });
    const whole = inMemory(fileOf([frozen, head], { made: 'by hand' }));
    const request = {
      encoding: ENCODING,
      source: inMemory(own),
      base: whole,
      isKept: (name: string) => name === 'backbone',
    };
    await store.put('sent', await collected(encode({ ...request, seed: 1, what: 'the update', signal })));
    const decoding = {
      store,
      sent: 'sent',
      target: 'stored',
      base: 'whole',
      encoding: ENCODING,
      isKept: request.isKept,
    };
    const made = await decodeUpdate({ ...decoding, leftOut: [/^backbone$/], what: 'the update', signal });
    const stored = await readAll(store, 'stored', 1 << 20);
    assert.deepEqual(stored, own);
    assert.equal(made.bytes, own.length);
    await rejectsWith(
      'invalid-input',
      decodeUpdate({ ...decoding, leftOut: [], what: 'the update', signal }),
      'backbone',
    );
  });

  it('the model that sites get is the same bytes however often it is made, and so is what it decodes to', async () => {
    const file = fileOf([float32('w', [0.1, 1 / 3, -7]), float32('head', [0.1])], { made: 'by hand' });
    await store.put('model', file);
    const encoding: Encoding = { encoding: 'int8', delta: false, rounding: 'stochastic' };
    const request = { store, model: 'model', encoded: 'encoded', decoded: 'decoded', encoding, seed: 3, signal };
    const isExcluded = (name: string) => name === 'head';
    const first = await makeWireModel({ ...request, isKept: isExcluded });
    assert.deepEqual(await makeWireModel({ ...request, isKept: isExcluded }), first);
    const decoded = await readAll(store, 'decoded', 1 << 20);
    assert.equal(`sha256:${createHash('sha256').update(decoded).digest('hex')}`, first.decoded.digest);
    assert.deepEqual(inMemory(decoded).layout, inMemory(file).layout);
    assert.notDeepEqual(decoded, file);
    assert.deepEqual(decoded.subarray(-4), file.subarray(-4), 'excluded tensors keep their very values');
  });
});
