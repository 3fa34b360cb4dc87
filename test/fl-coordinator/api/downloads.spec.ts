import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { CHUNK_BYTES, checkCrc, type WireChunk } from '../../../federation/chunk-codec';
import { AHEAD } from '../../../federation/stream-flow';
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

  describe('beside others of the same object', () => {
    const LONG = Buffer.from(Uint8Array.from({ length: 40 * CHUNK_BYTES + 5 }, (_, i) => (i * 29 + (i >> 11)) % 241));
    const long = { key: 'long', digest: `sha256:${createHash('sha256').update(LONG).digest('hex')}` };
    let reads = 0;
    let counting: ObjectStore;

    before(async () => {
      await store.put(long.key, LONG);
      counting = Object.create(store, {
        openForRanges: {
          value: async (key: string) => {
            const reader = await store.openForRanges(key);
            const read = (offset: number, target: Uint8Array) => {
              reads++;
              return reader.read(offset, target);
            };
            return { size: reader.size, read, close: () => reader.close() };
          },
        },
      }) as ObjectStore;
    });
    beforeEach(() => {
      reads = 0;
    });

    it('reads each chunk from the store once when they go in step', async () => {
      const downloads = Array.from({ length: 8 }, () => downloadChunks(counting, { ...long, offset: 0 }));
      for (;;) {
        const steps = await Promise.all(downloads.map((download) => download.next()));
        if (steps.every(({ done }) => done)) break;
      }
      assert.equal(reads, 41);
    });

    it('gives each the right bytes, wherever it began, however far apart they are, and while it may still be sending', async () => {
      const paces = fc.array(fc.nat(7), { minLength: 50, maxLength: 400 });
      const begins = fc.array(fc.oneof(fc.constant(0), fc.nat(LONG.length)), { minLength: 2, maxLength: 5 });
      await fc.assert(
        fc.asyncProperty(begins, paces, async (offsets, turns) => {
          const downloads = offsets.map((offset) => ({
            stream: downloadChunks(counting, { ...long, offset }),
            sending: [] as WireChunk[],
            next: offset,
          }));
          const step = async (download: (typeof downloads)[number]): Promise<boolean> => {
            const { value: chunk } = await download.stream.next();
            if (!chunk) return false;
            assert.equal(chunk.offset, download.next);
            download.next += chunk.data.length;
            download.sending.push(chunk);
            if (download.sending.length > AHEAD + 1) download.sending.shift();
            for (const each of download.sending) {
              checkCrc(each);
              assert.ok(LONG.subarray(each.offset, each.offset + each.data.length).equals(each.data));
            }
            return true;
          };
          for (const turn of turns) await step(downloads[turn % downloads.length]!);
          for (const download of downloads) {
            while (await step(download)) await Promise.resolve();
            assert.equal(download.next, LONG.length);
          }
        }),
        { numRuns: 10 },
      );
    });

    it('reads again what a download that begins later asks for', async () => {
      for (let i = 1; i <= 2; i++) {
        await chunksFrom(0);
        for await (const _chunk of downloadChunks(counting, { ...long, offset: 40 * CHUNK_BYTES }))
          assert.equal(reads, i);
      }
    });

    it('gives nothing of a damaged copy to a download of another one', async () => {
      const cut = LONG.subarray(0, 2 * CHUNK_BYTES - 9);
      const rotten = Buffer.from(LONG);
      rotten.fill(0, CHUNK_BYTES, CHUNK_BYTES + 4096);
      await store.put('cut', cut);
      await store.put('rotten', rotten);
      for (const copy of ['cut', 'rotten']) {
        const damaged = downloadChunks(counting, { ...long, key: copy, offset: 0 });
        for (let i = 0; i < 2; i++) await damaged.next();
        let position = 0;
        for await (const { offset, data } of downloadChunks(counting, { ...long, offset: 0 })) {
          assert.equal(offset, position, copy);
          assert.ok(LONG.subarray(offset, offset + data.length).equals(data), `${copy}, at ${offset}`);
          position += data.length;
        }
        assert.equal(position, LONG.length);
        await damaged.return(undefined);
      }
    });

    it('gives nothing of one store to a download from another', async () => {
      const other = await openDirectoryStore(path.join(folder, 'other'));
      const begun = downloadChunks(counting, { ...long, offset: 0 });
      await begun.next();
      try {
        const content = Buffer.from(LONG).fill(1);
        await other.put(long.key, content);
        for await (const { data } of downloadChunks(other, { ...long, offset: 0 })) {
          assert.ok(content.subarray(0, data.length).equals(data));
          break;
        }
      } finally {
        await begun.return(undefined);
        await other.close();
      }
    });

    it('fails each of them when the store does, and the next one reads afresh', async () => {
      const failing = Object.create(store, {
        openForRanges: {
          value: async () => ({
            size: LONG.length,
            read: () => Promise.reject(new Error('the disk is gone')),
            close: async () => {},
          }),
        },
      }) as ObjectStore;
      const first = downloadChunks(failing, { ...long, offset: 0 });
      const second = downloadChunks(failing, { ...long, offset: 0 });
      const results = await Promise.allSettled([first.next(), second.next()]);
      assert.deepEqual(
        results.map(({ status }) => status),
        ['rejected', 'rejected'],
      );
      for await (const { data } of downloadChunks(counting, { ...long, offset: 0 })) {
        assert.ok(LONG.subarray(0, CHUNK_BYTES).equals(data));
        break;
      }
    });
  });
});
