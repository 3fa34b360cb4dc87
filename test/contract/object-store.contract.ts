import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { ClaraError, type ErrorCode } from '../../base/errors';
import { seededRandom } from '../../base/random';
import { type ObjectStore, readAll } from '../../fl-coordinator/storage/object-store';
import { type DescribedStore, openDescribed, type StoreDescription } from './described-store';
import { StoreProcess } from './store-process';

const MEBIBYTE = 1 << 20;

export interface StoreFixture<Description extends StoreDescription = StoreDescription> {
  /** An empty store. */
  create(): Promise<Description>;
  remove(description: Description): Promise<void>;
  /** What becomes of an upload that another living process has open, when this one opens it. */
  readonly openUploads: 'are-locked' | 'are-taken-over';
  /** What becomes of readers whose object is replaced: they go on, or end with an error, but never mix two contents. */
  readonly replacedObjects: 'stay-readable' | 'end-their-readers';
}

/** What every adapter of the port must do. */
export function objectStoreContract<Description extends StoreDescription>(fixture: StoreFixture<Description>): void {
  let description: Description;
  let opened: DescribedStore;
  let store: ObjectStore;

  beforeEach(async () => {
    description = await fixture.create();
    opened = await openDescribed(description);
    store = opened.store;
  });

  afterEach(async () => {
    await opened.close();
    await fixture.remove(description);
  });

  const read = async (key: string): Promise<string> => (await readAll(store, key, MEBIBYTE)).toString();
  const keys = async (prefix: string, options = {}): Promise<string[]> => {
    const found: string[] = [];
    for await (const { key } of store.list(prefix, options)) found.push(key);
    return found;
  };

  describe('objects', () => {
    it('gives back what was put, with its size and an etag that head agrees on', async () => {
      const put = await store.put('runs/a/plan.json', 'hello');
      const got = await store.get('runs/a/plan.json');
      assert.equal(await read('runs/a/plan.json'), 'hello');
      assert.deepEqual({ size: got.size, etag: got.etag }, put);
      assert.deepEqual(await store.head('runs/a/plan.json'), put);
      assert.equal(put.size, 5);
      for await (const piece of got.bytes) assert.equal(Buffer.from(piece).toString(), 'hello');
    });

    it('replaces an object, and its etag changes with its content', async () => {
      const first = await store.put('key', 'one');
      const second = await store.put('key', 'two');
      assert.equal(await read('key'), 'two');
      assert.notEqual(first.etag, second.etag);
    });

    it('keeps an empty object', async () => {
      await store.put('empty', new Uint8Array(0));
      assert.equal((await store.head('empty')).size, 0);
      assert.equal(await read('empty'), '');
    });

    it('keeps a big object that comes as a stream, to the byte', async () => {
      const pieces = Array.from({ length: 20 }, (_, i) => randomBytes(i, 700_001));
      const { size, etag } = await store.put('big', stream(pieces));
      assert.equal(size, 20 * 700_001);
      const got = await store.get('big');
      assert.equal(got.etag, etag);
      assert.equal(await digest(got.bytes), await digest(stream(pieces)));
    });

    if (fixture.replacedObjects === 'stay-readable') {
      it('goes on giving the old bytes to whoever opened the object before it was replaced', async () => {
        const old = randomBytes(1, 3 * MEBIBYTE);
        await store.put('model', old);
        const { bytes } = await store.get('model');
        const reader = await store.openForRanges('model');
        await store.put('model', randomBytes(2, 3 * MEBIBYTE));
        const target = Buffer.alloc(old.length);
        await reader.read(0, target);
        await reader.close();
        assert.equal(await digest(bytes), await digest(stream([old])));
        assert.ok(target.equals(old));
      });
    } else {
      it('ends whoever opened an object that was replaced, and never gives bytes of both', async () => {
        const old = randomBytes(1, 9 * MEBIBYTE);
        await store.put('model', old);
        const { bytes } = await store.get('model');
        const reader = await store.openForRanges('model');
        await store.put('model', randomBytes(2, 9 * MEBIBYTE));
        await rejectsWith('precondition-failed', reader.read(MEBIBYTE, Buffer.alloc(10)), 'model was replaced');
        await reader.close();
        // What was on its way already may arrive whole.
        const all = digest(bytes);
        const outcome = await all.catch((error: unknown) => ClaraError.from(error).code);
        assert.ok([await digest(stream([old])), 'precondition-failed'].includes(outcome), outcome);
      });
    }

    it('says not-found for what is not there, and for a folder of keys', async () => {
      await store.put('runs/a/plan.json', 'x');
      for (const key of ['nothing', 'runs', 'runs/a', 'runs/a/plan.json/below']) {
        await rejectsWith('not-found', store.get(key), key);
        await rejectsWith('not-found', store.head(key), key);
        await rejectsWith('not-found', store.openForRanges(key), key);
      }
    });

    it('deletes, also what is not there', async () => {
      await store.put('a/b', 'x');
      await store.delete('a/b');
      await store.delete('a/b');
      await store.delete('never/was');
      await rejectsWith('not-found', store.head('a/b'));
      assert.deepEqual(await keys(''), []);
    });

    it('leaves the old object alone when the source of a new one fails', async () => {
      await store.put('key', 'old');
      const failing = (async function* () {
        yield Buffer.from('new');
        throw new ClaraError('corrupt', 'the source broke');
      })();
      await rejectsWith('corrupt', store.put('key', failing), 'the source broke');
      assert.equal(await read('key'), 'old');
      assert.deepEqual(await keys(''), ['key']);
    });

    it('refuses to read more into memory than the caller allows', async () => {
      await store.put('key', 'four');
      assert.equal((await readAll(store, 'key', 4)).toString(), 'four');
      await rejectsWith('resource-exhausted', readAll(store, 'key', 3), '4 bytes');
    });
  });

  describe('keys', () => {
    const bad = ['', '/', 'a/', '/a', 'a//b', '.', '..', 'a/../b', '.hidden', 'a/.store', 'ü', 'a b', 'a\0', 'a\\b'];
    const long = ['x'.repeat(201), Array.from({ length: 10 }, () => 'x'.repeat(100)).join('/')];

    it('refuses keys that are not plain paths, in every method', async () => {
      for (const key of [...bad, ...long]) {
        await rejectsWith('invalid-input', store.get(key));
        await rejectsWith('invalid-input', store.head(key));
        await rejectsWith('invalid-input', store.put(key, 'x'));
        await rejectsWith('invalid-input', store.putIfAbsent(key, Buffer.from('x')));
        await rejectsWith('invalid-input', store.putIfMatch(key, Buffer.from('x'), 'etag'));
        await rejectsWith('invalid-input', store.delete(key));
        await rejectsWith('invalid-input', store.openForRanges(key));
        await rejectsWith('invalid-input', store.create(key));
        await rejectsWith('invalid-input', store.resumeUpload(key, { size: 1 }));
      }
      assert.deepEqual(await keys(''), []);
    });

    it('keeps objects under keys of the greatest length', async () => {
      const key = [...Array.from({ length: 4 }, () => 'y'.repeat(200)), 'z'.repeat(96)].join('/');
      assert.equal(key.length, 900);
      await store.put(key, 'deep');
      assert.equal(await read(key), 'deep');
      assert.deepEqual(await keys('yy'), [key]);
    });
  });

  describe('ranges', () => {
    const content = randomBytes(3, 2 * MEBIBYTE + 17);

    it('gives exactly the bytes of a range, in small and in big objects', async () => {
      await store.put('small', content.subarray(0, 1000));
      await store.put('big', content);
      const cases = [
        { offset: 0 },
        { offset: 7, length: 11 },
        { offset: 999, length: 1 },
        { offset: 500, length: 0 },
        { offset: 500, length: 1e9 },
        { offset: 1000 },
      ];
      for (const range of cases) {
        for (const [key, all] of [
          ['small', content.subarray(0, 1000)],
          ['big', content],
        ] as const) {
          const expected = all.subarray(range.offset, range.offset + (range.length ?? all.length));
          const got = await store.get(key, { range });
          assert.equal(got.size, all.length);
          assert.equal(await digest(got.bytes), await digest(stream([expected])), `${key} ${JSON.stringify(range)}`);
        }
      }
    });

    it('refuses a range that starts behind the end or is no range', async () => {
      await store.put('key', 'four');
      for (const range of [
        { offset: 5 },
        { offset: -1 },
        { offset: 0.5 },
        { offset: 0, length: -1 },
        { offset: Number.NaN },
      ]) {
        await rejectsWith('invalid-input', store.get('key', { range }), 'key');
      }
    });

    it('reads at random, several at once, and says corrupt behind the end', async () => {
      await store.put('big', content);
      const reader = await store.openForRanges('big');
      try {
        assert.equal(reader.size, content.length);
        await Promise.all(
          [0, 1, MEBIBYTE - 3, content.length - 10].map(async (offset) => {
            const target = Buffer.alloc(10);
            await reader.read(offset, target);
            assert.ok(target.equals(content.subarray(offset, offset + 10)), `offset ${offset}`);
          }),
        );
        await rejectsWith('corrupt', reader.read(content.length - 5, Buffer.alloc(10)), 'big');
      } finally {
        await reader.close();
      }
    });
  });

  describe('list', () => {
    it('is in the order of the bytes of whole keys, whatever the folders', async () => {
      const all = ['a', 'a-b', 'a.b', 'b/c', 'b-c', 'b/a/z', 'b0', 'B/x', 'b/_', 'c/d/e/f'];
      for (const key of all) await store.put(key, key);
      const sorted = [...all].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      assert.deepEqual(await keys(''), sorted);
      assert.deepEqual(
        await keys('b'),
        sorted.filter((key) => key.startsWith('b')),
      );
      assert.deepEqual(await keys('b/'), ['b/_', 'b/a/z', 'b/c']);
      assert.deepEqual(await keys('c/d/e'), ['c/d/e/f']);
      assert.deepEqual(await keys('nothing/'), []);
    });

    it('goes on after any text, up to a limit', async () => {
      for (const key of ['runs/a/1', 'runs/a/2', 'runs/b/1', 'runs/c/1']) await store.put(key, 'x');
      assert.deepEqual(await keys('runs/', { after: 'runs/a/1', limit: 2 }), ['runs/a/2', 'runs/b/1']);
      assert.deepEqual(await keys('runs/', { after: 'runs/a/\uffff', limit: 1 }), ['runs/b/1']);
      assert.deepEqual(await keys('runs/', { after: 'runs/c/1' }), []);
      assert.deepEqual(await keys('runs/', { limit: 0 }), []);
    });

    it('agrees with a sorted set under any keys, prefix and after', async () => {
      const segment = fc.constantFrom('a', 'b', 'a-', 'a.b', 'a0', '_', 'Z');
      // The last segment is never one of a folder, since no key may be a folder of another.
      const key = fc
        .tuple(fc.array(segment, { maxLength: 3 }), fc.constantFrom('x', 'x-', 'x.1', 'x1', 'A.x'))
        .map(([folders, last]) => [...folders, last].join('/'));
      const text = fc.oneof(
        key,
        key.map((whole) => whole.slice(0, Math.ceil(whole.length / 2))),
        fc.constant(''),
      );
      await fc.assert(
        fc.asyncProperty(fc.uniqueArray(key, { maxLength: 8 }), text, text, async (all, prefix, after) => {
          for (const each of all) await store.put(each, each);
          const expected = all.filter((each) => each.startsWith(prefix) && each > after).sort();
          const found = await keys(prefix, { after });
          for (const each of all) await store.delete(each);
          assert.deepEqual(found, expected);
        }),
        { numRuns: 40 },
      );
    });

    it('tells sizes', async () => {
      await store.put('a', 'four');
      for await (const found of store.list('')) assert.deepEqual(found, { key: 'a', size: 4 });
    });
  });

  describe('conditions', () => {
    it('creates once', async () => {
      await store.putIfAbsent('journal/1', Buffer.from('first'));
      await rejectsWith('precondition-failed', store.putIfAbsent('journal/1', Buffer.from('second')), 'journal/1');
      assert.equal(await read('journal/1'), 'first');
    });

    it('replaces only what the etag names', async () => {
      const first = await store.putIfAbsent('lease', Buffer.from('1'));
      const second = await store.putIfMatch('lease', Buffer.from('2'), first.etag);
      await rejectsWith('precondition-failed', store.putIfMatch('lease', Buffer.from('3'), first.etag), 'lease');
      assert.equal(await read('lease'), '2');
      await store.delete('lease');
      await rejectsWith('precondition-failed', store.putIfMatch('lease', Buffer.from('3'), second.etag), 'lease');
      await rejectsWith('not-found', store.head('lease'));
    });

    it('replaces a big object by its etag too', async () => {
      const { etag } = await store.put('model', randomBytes(1, 2 * MEBIBYTE));
      await store.putIfMatch('model', Buffer.from('small now'), etag);
      await rejectsWith('precondition-failed', store.putIfMatch('model', Buffer.from('x'), etag));
      assert.equal(await read('model'), 'small now');
    });

    it('lets one of many concurrent creators and replacers win', async () => {
      const outcomes = async (attempts: Promise<unknown>[]): Promise<number> =>
        (await Promise.allSettled(attempts)).filter(({ status }) => status === 'fulfilled').length;
      const numbers = Array.from({ length: 12 }, (_, i) => Buffer.from(`candidate ${i}`));
      assert.equal(await outcomes(numbers.map((bytes) => store.putIfAbsent('one', bytes))), 1);
      const { etag } = await store.head('one');
      assert.equal(
        await outcomes(numbers.map((bytes) => store.putIfMatch('one', Buffer.concat([bytes, bytes]), etag))),
        1,
      );
    });

    it('lets one of two processes create an object', async () => {
      const racers = await Promise.all(
        ['left', 'right'].map(async (text) => ({
          text,
          racer: await StoreProcess.start(description, { kind: 'create-many', key: 'race', text, times: 25 }),
        })),
      );
      for (const { racer } of racers) racer.go();
      const won: string[] = [];
      for (const { text, racer } of racers) {
        for (let line = await racer.line(); line !== 'done'; line = await racer.line()) {
          assert.equal(await read(line!), text, `${text} was told that it had created ${line}`);
          won.push(line!);
        }
      }
      assert.deepEqual(won.sort(), await keys('race/'));
      assert.equal(won.length, 25);
    });

    it('loses no update when two processes count up one number', async () => {
      await store.put('count', '0');
      const times = 60;
      const counters = await Promise.all(
        [1, 2].map(() => StoreProcess.start(description, { kind: 'increment', key: 'count', times })),
      );
      for (const counter of counters) counter.go();
      assert.deepEqual(await Promise.all(counters.map((counter) => counter.outcome())), ['done', 'done']);
      assert.equal(await read('count'), String(2 * times));
    });
  });

  describe('written in order', () => {
    it('shows a new object only when it is finished', async () => {
      await store.put('model', 'old');
      const writer = await store.create('model');
      await writer.write(Buffer.from('ne'));
      await writer.write(Buffer.from('w!'));
      assert.equal(await read('model'), 'old');
      assert.deepEqual(await keys(''), ['model']);
      const info = await writer.finish();
      assert.equal(await read('model'), 'new!');
      assert.deepEqual(info, await store.head('model'));
      await writer.discard();
      assert.equal(await read('model'), 'new!');
    });

    it('leaves nothing of an object that is discarded, and takes nothing after its end', async () => {
      const writer = await store.create('model');
      await writer.write(Buffer.from('half'));
      await writer.discard();
      await rejectsWith('not-found', store.head('model'));
      await rejectsWith('precondition-failed', writer.write(Buffer.from('more')), 'model');
      await rejectsWith('precondition-failed', writer.finish(), 'model');
    });
  });

  describe('resumable uploads', () => {
    const content = randomBytes(9, 3 * MEBIBYTE + 5);
    const sha256 = createHash('sha256').update(content).digest('hex');
    const expected = { size: content.length, sha256 };

    it('shows the object when all bytes are there', async () => {
      const upload = await store.resumeUpload('updates/a', expected);
      assert.equal(upload.durableBytes, 0);
      await upload.append(content.subarray(0, MEBIBYTE));
      await rejectsWith('precondition-failed', upload.complete(), 'of 3145733 bytes');
      await upload.append(content.subarray(MEBIBYTE));
      assert.deepEqual(await keys(''), []);
      await rejectsWith('invalid-input', upload.append(Buffer.alloc(1)), 'updates/a');
      const info = await upload.complete();
      assert.deepEqual(info, await store.head('updates/a'));
      assert.equal(await digest((await store.get('updates/a')).bytes), sha256);
      assert.deepEqual(await keys(''), ['updates/a']);
    });

    it('has done with the bytes when an append has settled: their memory may be used again', async () => {
      const upload = await store.resumeUpload('updates/a', expected);
      const memory = Buffer.alloc(MEBIBYTE);
      for (let at = 0; at < content.length; at += memory.length) {
        const piece = memory.subarray(0, content.copy(memory, 0, at));
        await upload.append(piece);
        memory.fill(0);
      }
      await upload.complete();
      assert.equal(await digest((await store.get('updates/a')).bytes), sha256);
    });

    it('goes on at the durable offset after it was suspended, in another process too', async () => {
      const upload = await store.resumeUpload('updates/a', expected);
      await upload.append(content.subarray(0, 1000));
      assert.equal(await upload.checkpoint(), 1000);
      await upload.append(content.subarray(1000, 2000));
      await upload.suspend();
      await rejectsWith('precondition-failed', upload.append(content.subarray(2000)), 'updates/a');

      const other = await openDescribed(description);
      try {
        const again = await other.store.resumeUpload('updates/a', expected);
        assert.equal(again.durableBytes, 2000);
        assert.equal(await digest(again.readDurable()), await digest(stream([content.subarray(0, 2000)])));
        await again.append(content.subarray(2000));
        await again.complete();
      } finally {
        await other.close();
      }
      assert.equal(await digest((await store.get('updates/a')).bytes), sha256);
    });

    it('starts afresh for another size or digest under the same key', async () => {
      for (const other of [
        { size: expected.size + 1, sha256 },
        { size: expected.size, sha256: 'f'.repeat(64) },
        { size: expected.size },
      ]) {
        const upload = await store.resumeUpload('updates/a', expected);
        await upload.append(content.subarray(0, 1000));
        await upload.checkpoint();
        await upload.suspend();
        const fresh = await store.resumeUpload('updates/a', other);
        assert.equal(fresh.durableBytes, 0);
        await fresh.suspend();
        const back = await store.resumeUpload('updates/a', expected);
        assert.equal(back.durableBytes, 0, 'nothing of the replaced upload may come back');
        await back.discard();
      }
    });

    it('forgets what was discarded, and discards nothing that is complete', async () => {
      const upload = await store.resumeUpload('updates/a', expected);
      await upload.append(content.subarray(0, 1000));
      await upload.checkpoint();
      await upload.discard();
      const again = await store.resumeUpload('updates/a', expected);
      assert.equal(again.durableBytes, 0);
      await again.append(content);
      await again.complete();
      await again.discard();
      await again.suspend();
      assert.equal((await store.head('updates/a')).size, content.length);
    });

    it('replaces an object by a completed upload, and starts afresh after it', async () => {
      await store.put('updates/a', 'old');
      const upload = await store.resumeUpload('updates/a', expected);
      await upload.append(content);
      assert.equal(await read('updates/a'), 'old');
      await upload.complete();
      const next = await store.resumeUpload('updates/a', expected);
      assert.equal(next.durableBytes, 0);
      await next.discard();
      assert.equal((await store.head('updates/a')).size, content.length);
    });

    it('ends the earlier handle when the upload is opened again', async () => {
      const first = await store.resumeUpload('updates/a', expected);
      await first.append(content.subarray(0, 10));
      const second = await store.resumeUpload('updates/a', expected);
      assert.equal(second.durableBytes, 10);
      await rejectsWith('precondition-failed', first.append(content.subarray(10, 20)), 'updates/a');
      await first.discard();
      await second.append(content.subarray(10));
      await second.complete();
      assert.equal(await digest((await store.get('updates/a')).bytes), sha256);
    });

    it('goes on in another process with an upload of many MiB, whatever its checkpoints and crashes', async () => {
      const big = randomBytes(11, 21 * MEBIBYTE + 3);
      const announced = { size: big.length, sha256: createHash('sha256').update(big).digest('hex') };
      let sent = 0;
      for (const upTo of [5 * MEBIBYTE + 1, 16 * MEBIBYTE, 16 * MEBIBYTE + 7, big.length]) {
        const other = await openDescribed(description);
        try {
          const upload = await other.store.resumeUpload('updates/big', announced);
          assert.equal(upload.durableBytes, sent);
          assert.equal(await digest(upload.readDurable()), await digest(stream([big.subarray(0, sent)])));
          for (; sent < upTo; sent = Math.min(upTo, sent + 700_001)) {
            await upload.append(big.subarray(sent, Math.min(upTo, sent + 700_001)));
          }
          assert.equal(await upload.checkpoint(), upTo);
          assert.deepEqual(await keys(''), []);
          if (upTo === big.length) await upload.complete();
        } finally {
          await other.close();
        }
      }
      assert.equal(await digest((await store.get('updates/big')).bytes), announced.sha256);
      assert.deepEqual(await keys(''), ['updates/big']);
    });

    it('completes an empty object', async () => {
      const upload = await store.resumeUpload('empty', { size: 0 });
      await upload.complete();
      assert.equal((await store.head('empty')).size, 0);
    });

    it('refuses sizes that are no sizes', async () => {
      for (const size of [-1, 0.5, Number.NaN, 2 ** 53]) {
        await rejectsWith('invalid-input', store.resumeUpload('updates/a', { size }), 'updates/a');
      }
    });

    const ofAnotherProcess = async (): Promise<StoreProcess> => {
      const pieces = ['abc', 'def'];
      const action = { kind: 'upload', key: 'updates/a', size: 9, pieces, keepOpen: true } as const;
      const holder = await StoreProcess.start(description, action);
      holder.go();
      assert.equal(await holder.line(), 'open');
      return holder;
    };
    const goOnFrom6 = async (): Promise<void> => {
      const upload = await store.resumeUpload('updates/a', { size: 9 });
      assert.equal(upload.durableBytes, 6);
      await upload.append(Buffer.from('ghi'));
      await upload.complete();
      assert.equal(await read('updates/a'), 'abcdefghi');
    };

    if (fixture.openUploads === 'are-locked') {
      it('is unavailable while another process has it open, and goes on once that was killed', async () => {
        const holder = await ofAnotherProcess();
        try {
          await rejectsWith('unavailable', store.resumeUpload('updates/a', { size: 9 }), 'updates/a');
        } finally {
          await holder.kill();
        }
        await goOnFrom6();
      });
    } else {
      it('goes on although another process was killed over it', async () => {
        const holder = await ofAnotherProcess();
        await holder.kill();
        await goOnFrom6();
      });

      it('is taken over from whoever has it open, who is told and spoils nothing', async () => {
        const other = await openDescribed(description);
        try {
          const theirs = await other.store.resumeUpload('updates/a', expected);
          await theirs.append(content.subarray(0, 1000));
          await theirs.checkpoint();
          const ours = await store.resumeUpload('updates/a', expected);
          assert.equal(ours.durableBytes, 1000);
          await theirs.append(Buffer.alloc(content.length - 1000));
          await rejectsWith('precondition-failed', theirs.complete(), 'updates/a');
          await rejectsWith('precondition-failed', theirs.append(Buffer.alloc(1)), 'updates/a');
          await theirs.discard();
          await ours.append(content.subarray(1000));
          await ours.complete();
        } finally {
          await other.close();
        }
        assert.equal(await digest((await store.get('updates/a')).bytes), sha256);
      });
    }
  });

  it('has room for what it takes', async () => {
    assert.ok((await store.room()) > 0);
  });

  describe('abort signals', () => {
    it('stop reading and writing, and leave nothing', async () => {
      await store.put('big', randomBytes(4, 4 * MEBIBYTE));
      const reading = new AbortController();
      const { bytes } = await store.get('big', { signal: reading.signal });
      await rejectsWith(
        'cancelled',
        (async () => {
          for await (const _ of bytes) reading.abort();
        })(),
        'big',
      );

      const writing = new AbortController();
      const source = (async function* () {
        yield Buffer.from('first');
        writing.abort();
        yield Buffer.from('second');
      })();
      await rejectsWith('cancelled', store.put('new', source, { signal: writing.signal }), 'new');
      await rejectsWith('cancelled', store.put('new', 'x', { signal: AbortSignal.abort() }), 'new');
      await rejectsWith('cancelled', store.get('big', { signal: AbortSignal.abort() }), 'big');
      assert.deepEqual(await keys(''), ['big']);
    });
  });
}

async function rejectsWith(code: ErrorCode, promise: Promise<unknown>, mentions = ''): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof ClaraError, `${error} is no ClaraError`);
    assert.equal(error.code, code, error.message);
    assert.ok(error.message.includes(mentions), `"${error.message}" does not mention "${mentions}"`);
    return true;
  });
}

function randomBytes(seed: number, length: number): Buffer {
  const random = seededRandom(seed);
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.floor(random.uniform() * 2 ** 32);
  return Buffer.from(words.buffer, 0, length);
}

async function* stream(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

async function digest(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of bytes) hash.update(piece);
  return hash.digest('hex');
}
