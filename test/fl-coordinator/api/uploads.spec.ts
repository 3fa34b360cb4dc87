import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, open as openFile, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ClaraError } from '../../../base/errors';
import { makeChunk, type WireChunk } from '../../../federation/chunk-codec';
import { headerLength, parseHeader } from '../../../federation/tensors/header';
import { Uploads } from '../../../fl-coordinator/api/uploads';
import { updateKey } from '../../../fl-coordinator/runs/object-names';
import type { SiteTask } from '../../../fl-coordinator/runs/tasks';
import { openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { type ObjectStore, readAll } from '../../../fl-coordinator/storage/object-store';
import { rejectsWith } from './support/rejects';
import { siteTask } from './support/tasks';

const TASK = siteTask('run-1', 'a');
const KEY = updateKey(TASK.run, TASK.stage, TASK.site);
const CHUNK = 1000;

/** A file with one float32 tensor, as another program would write it. */
function modelFile(values: readonly number[], name = 'w'): Buffer {
  const end = values.length * 4;
  const json = Buffer.from(`{"${name}":{"dtype":"F32","shape":[${values.length}],"data_offsets":[0,${end}]}}`);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([prefix, json, Buffer.from(Float32Array.from(values).buffer)]);
}

const MODEL = modelFile(Array.from({ length: 1500 }, (_, i) => i / 8));
const LAYOUT = parseHeader(MODEL.subarray(0, headerLength(MODEL.subarray(0, 8))));

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
const announcementOf = (bytes: Uint8Array) => ({ size: bytes.length, sha256: sha256(bytes).toString('hex') });
const headerOf = (bytes: Uint8Array) => ({ size: bytes.length, sha256: sha256(bytes) });

function* chunksOf(bytes: Buffer, from = 0, to = bytes.length): Generator<WireChunk> {
  for (let at = from; at < to; at += CHUNK) {
    yield makeChunk(at, bytes.subarray(at, Math.min(at + CHUNK, to)), at === from ? headerOf(bytes) : undefined);
  }
}

/** A stream that ends as a lost connection does. */
async function* broken(chunks: Iterable<WireChunk>): AsyncGenerator<WireChunk> {
  yield* chunks;
  throw new ClaraError('cancelled', 'the client has gone');
}

async function* stream(chunks: Iterable<WireChunk>): AsyncGenerator<WireChunk> {
  yield* chunks;
}

describe('uploads of updates', () => {
  let folder: string;
  let store: ObjectStore & { close(): Promise<void> };
  let uploads: Uploads;
  let received: number;

  const open = () =>
    new Uploads({
      store,
      layoutFor: async () => LAYOUT,
      onBytes: (_, bytes) => {
        received += bytes;
      },
      maxBytes: 100_000,
    });
  const stored = () => readAll(store, KEY, 1 << 20);
  const status = (bytes = MODEL) => uploads.status(TASK, announcementOf(bytes));
  const receive = (chunks: AsyncIterable<WireChunk>, task: SiteTask = TASK) => uploads.receive(task, chunks);

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-uploads-'));
    store = await openDirectoryStore(path.join(folder, 'store'));
    received = 0;
    uploads = open();
  });
  afterEach(async () => {
    await uploads.close();
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('makes a whole update durable and answers its digest', async () => {
    assert.equal(await status(), 0);
    const receipt = await receive(stream(chunksOf(MODEL)));
    assert.deepEqual(receipt, { digest: `sha256:${sha256(MODEL).toString('hex')}`, bytes: MODEL.length });
    assert.deepEqual(await stored(), MODEL);
    assert.deepEqual(uploads.receiptOf(TASK.id), receipt);
    assert.equal(await status(), MODEL.length);
    assert.equal(received, MODEL.length);
  });

  it('goes on at the durable offset after a stream broke, and counts only what came', async () => {
    await rejectsWith('cancelled', receive(broken(chunksOf(MODEL, 0, 3 * CHUNK))));
    assert.equal(await status(), 3 * CHUNK);
    await receive(stream(chunksOf(MODEL, 3 * CHUNK)));
    assert.deepEqual(await stored(), MODEL);
    assert.equal(received, MODEL.length);
  });

  it('goes on at the durable offset after a restart of the coordinator', async () => {
    await rejectsWith('cancelled', receive(broken(chunksOf(MODEL, 0, 2 * CHUNK))));
    uploads = open();
    assert.equal(await status(), 2 * CHUNK);
    await receive(stream(chunksOf(MODEL, 2 * CHUNK)));
    assert.deepEqual(await stored(), MODEL);
    assert.equal(received, MODEL.length);
  });

  it('a stream that ends early without a failure keeps what came', async () => {
    await rejectsWith('unavailable', receive(stream(chunksOf(MODEL, 0, 2 * CHUNK))), '2000 of');
    assert.equal(await status(), 2 * CHUNK);
  });

  it('knows an update that was completed before a restart', async () => {
    const { digest } = await receive(stream(chunksOf(MODEL)));
    uploads = open();
    assert.equal(await status(), MODEL.length);
    assert.equal(uploads.receiptOf(TASK.id)?.digest, digest);
  });

  it('completes an update whose every byte was durable when the coordinator died', async () => {
    await rejectsWith('cancelled', receive(broken(chunksOf(MODEL))));
    uploads = open();
    assert.equal(await status(), MODEL.length);
    assert.deepEqual(await stored(), MODEL);
    assert.equal(received, MODEL.length);
  });

  it('takes another update than the one that was completed before a restart', async () => {
    await receive(stream(chunksOf(MODEL)));
    uploads = open();
    const other = modelFile(Array.from({ length: 1500 }, () => 1));
    assert.equal(await status(other), 0);
    await receive(stream(chunksOf(other)));
    assert.deepEqual(await stored(), other);
  });

  it('a chunk with a wrong crc is refused, and what came before it stays', async () => {
    const [first, second] = [...chunksOf(MODEL)];
    const damaged = { ...second!, data: Buffer.from(second!.data).fill(1, 0, 1) };
    await rejectsWith('corrupt', receive(stream([first!, damaged])), 'crc');
    assert.equal(await status(), CHUNK);
    await receive(stream(chunksOf(MODEL, CHUNK)));
    assert.deepEqual(await stored(), MODEL);
  });

  for (const [what, offset] of [
    ['a gap', 2 * CHUNK],
    ['a repetition', 0],
  ] as const) {
    it(`${what} between chunks is refused with the offset to go on at, and what came before stays`, async () => {
      const [first] = [...chunksOf(MODEL)];
      const misplaced = makeChunk(offset, MODEL.subarray(offset, offset + CHUNK));
      await rejectsWith('unavailable', receive(stream([first!, misplaced])), `${CHUNK} are here`);
      assert.equal(await status(), CHUNK);
    });
  }

  it('a first chunk without a header is refused', async () => {
    const headless = makeChunk(0, MODEL.subarray(0, CHUNK));
    await rejectsWith('invalid-input', receive(stream([headless])), 'has no header');
  });

  it('a stream without chunks is refused', async () => {
    await rejectsWith('invalid-input', receive(stream([])), 'is empty');
  });

  it('other bytes than announced are refused, and start afresh', async () => {
    const header = { size: MODEL.length, sha256: sha256(Buffer.from('something else')) };
    const chunks = [...chunksOf(MODEL)];
    const wrong = [{ ...chunks[0]!, header }, ...chunks.slice(1)];
    await rejectsWith('corrupt', receive(stream(wrong)), 'digest');
    await rejectsWith('not-found', stored());
    assert.equal(await uploads.status(TASK, { size: header.size, sha256: header.sha256.toString('hex') }), 0);
  });

  it('more bytes than announced are refused', async () => {
    const header = { size: MODEL.length - 10, sha256: sha256(MODEL) };
    const chunks = [...chunksOf(MODEL)];
    const longer = [{ ...chunks[0]!, header }, ...chunks.slice(1)];
    await assert.rejects(receive(stream(longer)), ClaraError);
    await rejectsWith('not-found', stored());
  });

  it('an announcement above the limit is refused, with and without asking first', async () => {
    const header = { size: 100_001, sha256: sha256(MODEL) };
    const [first] = [...chunksOf(MODEL)];
    await rejectsWith('invalid-input', uploads.status(TASK, { size: 100_001, sha256: 'ab' }), '100000');
    await rejectsWith('invalid-input', receive(stream([{ ...first!, header }])), '100000');
    assert.equal(received, 0);
  });

  it('NaN is refused with the name of the tensor, and not kept', async () => {
    const values = Array.from({ length: 1500 }, (_, i) => (i === 1234 ? Number.NaN : i));
    const poisoned = modelFile(values);
    const error = await rejectsWith('invalid-input', receive(stream(chunksOf(poisoned))), 'w');
    assert.deepEqual(
      error.faults.map((fault) => [fault.path, fault.value]),
      [['w', 'NaN']],
    );
    await rejectsWith('not-found', stored());
    assert.equal(await status(poisoned), 0);
  });

  for (const [what, bytes, tensor] of [
    ['a wrong shape', modelFile([1, 2, 3]), 'w'],
    ['an unknown tensor', modelFile(new Array(1500).fill(1), 'other'), 'other'],
  ] as const) {
    it(`${what} is refused at the header, before the rest is sent`, async () => {
      const error = await rejectsWith('invalid-input', receive(broken(chunksOf(bytes, 0, CHUNK))));
      assert.ok(error.faults.some(({ path: name }) => name === tensor));
      assert.equal(await status(bytes), 0);
    });
  }

  for (const [what, at, fill] of [
    ['the header', 12, 0x21],
    ['the numbers', 500, 0xff],
  ] as const) {
    it(`damage of ${what} while a part lay here is not the site's fault: all of it is sent again`, async () => {
      await rejectsWith('cancelled', receive(broken(chunksOf(MODEL, 0, 2 * CHUNK))));
      await uploads.close();
      const uploadFolder = path.join(folder, 'store', '.store', 'uploads');
      const [part] = (await readdir(uploadFolder)).filter((name) => name.endsWith('.part'));
      const file = await openFile(path.join(uploadFolder, part!), 'r+');
      await file.write(Buffer.alloc(4, fill), 0, 4, at);
      await file.close();
      uploads = open();
      const durable = await status();
      if (durable > 0) {
        const told = await receive(stream(chunksOf(MODEL, durable))).catch((error: unknown) => error);
        assert.ok(told instanceof ClaraError && told.code === 'corrupt' && told.faults.length === 0, String(told));
      }
      assert.equal(await status(), 0);
      await receive(stream(chunksOf(MODEL)));
      assert.deepEqual(await stored(), MODEL);
    });
  }

  it('a new stream takes over from one that only seems alive', async () => {
    let deliver: () => void = () => {};
    const silence = new Promise<void>((resolve) => {
      deliver = resolve;
    });
    let sent: () => void = () => {};
    const twoSent = new Promise<void>((resolve) => {
      sent = resolve;
    });
    async function* stalled(): AsyncGenerator<WireChunk> {
      yield* chunksOf(MODEL, 0, 2 * CHUNK);
      sent();
      await silence;
      yield makeChunk(2 * CHUNK, MODEL.subarray(2 * CHUNK, 3 * CHUNK));
    }
    const first = receive(stalled());
    first.catch(() => undefined);
    await twoSent;
    assert.equal(await status(), 2 * CHUNK);
    await receive(stream(chunksOf(MODEL, 2 * CHUNK)));
    deliver();
    await assert.rejects(first, ClaraError);
    assert.deepEqual(await stored(), MODEL);
    assert.equal(await status(), MODEL.length);
  });

  it('of two streams at once for one task, one delivers and nothing is damaged', async () => {
    const results = await Promise.allSettled([receive(stream(chunksOf(MODEL))), receive(stream(chunksOf(MODEL)))]);
    assert.ok(results.some(({ status: outcome }) => outcome === 'fulfilled'));
    assert.deepEqual(await stored(), MODEL);
  });

  it('bytes that the disk did not take are sent again', async () => {
    let full = true;
    const resume = store.resumeUpload.bind(store);
    store.resumeUpload = async (key, expected) => {
      const upload = await resume(key, expected);
      const append = upload.append.bind(upload);
      let appended = 0;
      upload.append = async (bytes) => {
        if (full && ++appended === 3) throw new ClaraError('out-of-space', 'the disk is full');
        await append(bytes);
      };
      return upload;
    };
    await rejectsWith('out-of-space', receive(stream(chunksOf(MODEL))));
    full = false;
    assert.equal(await status(), 2 * CHUNK);
    await receive(stream(chunksOf(MODEL, 2 * CHUNK)));
    assert.deepEqual(await stored(), MODEL);
  });

  it('a settled task leaves no receipt', async () => {
    await receive(stream(chunksOf(MODEL)));
    uploads.forget(TASK.id);
    assert.equal(uploads.receiptOf(TASK.id), undefined);
  });

  it('a broken upload whose task is not open any more lets go of its file and lock, and no other does', async () => {
    const other = siteTask('run-1', 'b');
    for (const task of [TASK, other]) {
      await rejectsWith('cancelled', receive(broken(chunksOf(MODEL, 0, 2 * CHUNK)), task));
    }
    await uploads.release('run-1', (task) => task === other.id);
    assert.equal(await uploads.status(other, announcementOf(MODEL)), 2 * CHUNK);
    // Another process could not open it while this one held its lock; nothing of the old bytes is left.
    const elsewhere = await openDirectoryStore(path.join(folder, 'store'));
    try {
      const taken = await elsewhere.resumeUpload(KEY, announcementOf(MODEL));
      assert.equal(taken.durableBytes, 0);
      await taken.discard();
    } finally {
      await elsewhere.close();
    }
  });

  it('uploads of several sites at once do not mix', async () => {
    const tasks = ['a', 'b', 'c', 'd'].map((site) => siteTask('run-1', site));
    const models = tasks.map((_, site) => modelFile(Array.from({ length: 1500 }, (_, i) => i * site)));
    await Promise.all(tasks.map((task, i) => receive(stream(chunksOf(models[i]!)), task)));
    for (const [i, task] of tasks.entries()) {
      assert.deepEqual(await readAll(store, updateKey(task.run, task.stage, task.site), 1 << 20), models[i]);
    }
  });
});
