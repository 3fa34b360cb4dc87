import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { CHUNK_BYTES, checkCrc, type WireChunk } from '../../../federation/chunk-codec';
import { downloadChunks } from '../../../fl-coordinator/api/downloads';
import { openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import type { ObjectStore } from '../../../fl-coordinator/storage/object-store';
import { rejectsWith } from './support/rejects';

const KEY = 'runs/run-1/rounds/0001/model.safetensors';
const MODEL = Buffer.from(Uint8Array.from({ length: 2 * CHUNK_BYTES + 777 }, (_, i) => (i * 31 + (i >> 9)) % 251));
const SHA256 = createHash('sha256').update(MODEL).digest();
const digest = `sha256:${SHA256.toString('hex')}`;

describe('a download', () => {
  let folder: string;
  let store: ObjectStore & { close(): Promise<void> };

  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-downloads-'));
    store = await openDirectoryStore(folder);
    await store.put(KEY, MODEL);
    await store.put('empty', Buffer.alloc(0));
  });
  after(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  const chunksFrom = async (offset: number, key = KEY): Promise<WireChunk[]> => {
    const chunks: WireChunk[] = [];
    for await (const chunk of downloadChunks(store, { key, digest, offset })) chunks.push(chunk);
    return chunks;
  };

  it('gives the bytes from any offset on, each chunk where the one before ended', async () => {
    const offsets = fc.oneof(
      fc.nat(MODEL.length),
      fc.constantFrom(0, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES, MODEL.length - 1, MODEL.length),
    );
    await fc.assert(
      fc.asyncProperty(offsets, async (offset) => {
        const chunks = await chunksFrom(offset);
        let position = offset;
        for (const [index, chunk] of chunks.entries()) {
          assert.equal(chunk.offset, position);
          checkCrc(chunk);
          assert.deepEqual(chunk.header, index === 0 ? { size: MODEL.length, sha256: SHA256 } : undefined);
          position += chunk.data.length;
        }
        assert.deepEqual(Buffer.concat(chunks.map(({ data }) => data)), MODEL.subarray(offset));
      }),
      { numRuns: 25 },
    );
  });

  it('of nothing but the end still says size and digest', async () => {
    const [only, ...more] = await chunksFrom(MODEL.length);
    assert.equal(only!.data.length, 0);
    assert.equal(only!.header!.size, MODEL.length);
    assert.deepEqual(more, []);
  });

  it('of an empty object is one chunk', async () => {
    const chunks = await chunksFrom(0, 'empty');
    assert.deepEqual(
      chunks.map(({ data, header }) => [data.length, header!.size]),
      [[0, 0]],
    );
  });

  it('from an offset behind the end is refused, naming both', async () => {
    const error = await rejectsWith('invalid-input', chunksFrom(MODEL.length + 1), String(MODEL.length + 1));
    assert.ok(error.message.includes(String(MODEL.length)));
  });

  it('of an object that is not there is refused', async () => {
    await rejectsWith('not-found', chunksFrom(0, 'missing'));
  });
});
