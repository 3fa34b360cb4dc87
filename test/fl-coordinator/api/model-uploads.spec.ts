import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { makeChunk, type WireChunk } from '../../../federation/chunk-codec';
import { ModelUploads } from '../../../fl-coordinator/api/model-uploads';
import { openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { readAll } from '../../../fl-coordinator/storage/object-store';
import { encodeModel } from '../../fl-site/support/model-bytes';
import { rejectsWith } from './support/rejects';

const MODEL = encodeModel({ w: { shape: [40], values: Array.from({ length: 40 }, (_, i) => i / 8) } });
const hexOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Chunks of 50 bytes, with the header of `announced`. */
async function* chunksOf(bytes: Buffer, announced = bytes): AsyncGenerator<WireChunk> {
  const header = { size: announced.length, sha256: Buffer.from(hexOf(announced), 'hex') };
  for (let begin = 0; begin < bytes.length; begin += 50) {
    yield makeChunk(begin, bytes.subarray(begin, begin + 50), begin === 0 ? header : undefined);
  }
}

describe('uploads of models by operators', () => {
  let folder: string;
  let store: Awaited<ReturnType<typeof openDirectoryStore>>;
  let uploads: ModelUploads;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-models-'));
    store = await openDirectoryStore(folder);
    uploads = new ModelUploads({ store, maxBytes: 10_000, atOnce: 2 });
  });
  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Files of the store that hold, or held, bytes of a model. */
  const leftovers = async (): Promise<string[]> =>
    (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && /^(models|\.store.partial)/.test(path.relative(folder, entry.parentPath)))
      .map(({ name }) => name);
  const refused = async (
    ...[code, chunks, words]: [Parameters<typeof rejectsWith>[0], AsyncIterable<WireChunk>, string]
  ) => {
    const before = await leftovers();
    await rejectsWith(code, uploads.receive(chunks), words);
    assert.deepEqual(await leftovers(), before);
  };

  it('keeps a model under its digest', async () => {
    assert.deepEqual(await uploads.receive(chunksOf(MODEL)), { sha256: hexOf(MODEL), bytes: MODEL.length });
    assert.deepEqual(await readAll(store, `models/${hexOf(MODEL)}.safetensors`, 10_000), MODEL);
  });

  it('answers for a model that is here without reading it again', async () => {
    await uploads.receive(chunksOf(MODEL));
    let read = 0;
    async function* counted(): AsyncGenerator<WireChunk> {
      for await (const chunk of chunksOf(MODEL)) {
        read++;
        yield chunk;
      }
    }
    assert.deepEqual(await uploads.receive(counted()), { sha256: hexOf(MODEL), bytes: MODEL.length });
    assert.equal(read, 1);
  });

  it('refuses numbers that are not finite, naming the tensor, and keeps nothing', async () => {
    const broken = encodeModel({ w: { shape: [2], values: [1, Number.NaN] } });
    await refused('invalid-input', chunksOf(broken), 'tensor w element 1 is NaN');
  });

  it('refuses bytes that are no model, or have no tensors', async () => {
    await refused('corrupt', chunksOf(Buffer.alloc(200, 7)), 'the uploaded model');
    await refused('invalid-input', chunksOf(encodeModel({})), 'has no tensors');
  });

  it('refuses other bytes than those announced, and too few', async () => {
    const other = encodeModel({ w: { shape: [40], values: Array.from({ length: 40 }, () => 1) } });
    await refused('corrupt', chunksOf(other, MODEL), 'has digest');
    await refused('corrupt', chunksOf(MODEL.subarray(0, 120), MODEL), 'ended after 120 of');
    await refused('corrupt', chunksOf(Buffer.concat([MODEL, MODEL]), MODEL), 'goes on after');
  });

  it('refuses a damaged chunk, a gap, and a stream without a header', async () => {
    const changed = async function* (
      change: (chunk: WireChunk, index: number) => WireChunk,
    ): AsyncGenerator<WireChunk> {
      let index = 0;
      for await (const chunk of chunksOf(MODEL)) yield change(chunk, index++);
    };
    await refused(
      'corrupt',
      changed((c, i) => (i === 1 ? { ...c, crc32: c.crc32 ^ 1 } : c)),
      'crc32',
    );
    await refused(
      'invalid-input',
      changed((c, i) => (i === 2 ? { ...c, offset: 3 } : c)),
      'starts at byte 3',
    );
    await refused(
      'invalid-input',
      changed(({ header: _, ...c }) => c),
      'must begin with a header',
    );
    await refused('invalid-input', (async function* () {})(), 'must begin with a header');
  });

  it('refuses a model above the limit before it takes a byte', async () => {
    const large = encodeModel({ w: { shape: [3000], values: Array.from({ length: 3000 }, () => 0) } });
    await refused('invalid-input', chunksOf(large), "exceeds this coordinator's limit of 10000 bytes");
  });

  it('takes so many at once, and others when one has ended', async () => {
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    async function* slow(): AsyncGenerator<WireChunk> {
      for await (const chunk of chunksOf(MODEL)) {
        yield chunk;
        await gate;
      }
    }
    const running = [uploads.receive(slow()), uploads.receive(slow())];
    await rejectsWith('resource-exhausted', uploads.receive(chunksOf(MODEL)), '2 models are being uploaded');
    release();
    await Promise.all(running);
    await uploads.receive(chunksOf(MODEL));
  });
});
