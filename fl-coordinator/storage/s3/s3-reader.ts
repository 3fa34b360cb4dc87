import { ClaraError, hasCode } from '../../../base/errors';
import { throwIfAborted } from '../file-errors';
import type { RangeReader } from '../object-store';
import { dispose, type Found } from './s3-answers';
import type { S3Bucket } from './s3-bucket';
import { s3Error, s3FaultOf } from './s3-errors';

/**
 * Reading through connections that break: the bytes that are missing are asked for again, of the very content that was opened.
 * In a bucket that keeps versions that content stays; in another one a replaced object ends the reader.
 */

/** What a reader of ranges fetches at once: requests cost tens of milliseconds, whatever their size. */
const WINDOW_BYTES = 2 << 20;
/** A read may lie across two windows. */
const WINDOWS = 2;

type Opened = Awaited<ReturnType<S3Bucket['get']>>;

/** Bytes `begin` to `end` of an object, the first of which `opened` brings. */
export async function* streamObject(
  bucket: S3Bucket,
  key: string,
  opened: Opened,
  { begin, end, signal }: { readonly begin: number; readonly end: number; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<Uint8Array> {
  const { requests } = bucket;
  let { body } = opened;
  let position = begin;
  let failures = 0;
  try {
    while (position < end || begin === end) {
      try {
        const pieces = (body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
        for (;;) {
          const { value, done } = await requests.unstalled(pieces.next());
          throwIfAborted(signal, `reading ${key}`);
          if (done) break;
          position += value.length;
          failures = 0;
          yield value;
        }
        if (position >= end) return;
        throw Object.assign(new Error(`the answer ended at byte ${position} of ${end}`), { code: 'ECONNRESET' });
      } catch (thrown) {
        throwIfAborted(signal, `reading ${key}`);
        const { passing, code } = s3FaultOf(thrown);
        // A checksum that fails speaks of bytes that were handed on already.
        if (!passing || code === 'corrupt' || ++failures >= requests.attempts) throw s3Error(thrown, `reading ${key}`);
        dispose(body);
        await requests.pause(failures, signal);
      }
      if (position < end) body = (await getPinned(bucket, key, opened, position, end, signal)).body;
    }
  } finally {
    dispose(body);
  }
}

async function getPinned(
  bucket: S3Bucket,
  key: string,
  pinned: Found,
  begin: number,
  end: number,
  signal?: AbortSignal,
): Promise<Opened> {
  try {
    return await bucket.get(key, { range: `bytes=${begin}-${end - 1}`, pinned, signal });
  } catch (error) {
    if (!hasCode(error, 'precondition-failed', 'not-found')) throw error;
    const why = 'was replaced or deleted while it was read, and the bucket keeps no versions; open it again';
    throw new ClaraError('precondition-failed', `${key} ${why}`, { cause: error });
  }
}

/** Random access in windows, the last few of which are kept: aggregation and downloads read on in small steps. */
export class S3RangeReader implements RangeReader {
  readonly #windows = new Map<number, Promise<Uint8Array>>();
  readonly #stop = new AbortController();

  constructor(
    private readonly bucket: S3Bucket,
    private readonly key: string,
    private readonly object: Found,
  ) {}

  get size(): number {
    return this.object.size;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    if (offset + target.length > this.size) {
      const reach = `before byte ${offset + target.length}`;
      throw new ClaraError('corrupt', `${this.key} ends at byte ${this.size}, ${reach}`);
    }
    for (let done = 0; done < target.length; ) {
      const position = offset + done;
      const index = Math.floor(position / WINDOW_BYTES);
      const window = await this.#window(index);
      const piece = window.subarray(position - index * WINDOW_BYTES).subarray(0, target.length - done);
      target.set(piece, done);
      done += piece.length;
    }
  }

  async close(): Promise<void> {
    this.#stop.abort(new ClaraError('cancelled', `the reader of ${this.key} was closed`));
    this.#windows.clear();
  }

  #window(index: number): Promise<Uint8Array> {
    const known = this.#windows.get(index);
    const window = known ?? this.#fetch(index * WINDOW_BYTES, Math.min(this.size, (index + 1) * WINDOW_BYTES));
    this.#windows.delete(index);
    this.#windows.set(index, window);
    for (const oldest of this.#windows.keys()) if (this.#windows.size > WINDOWS) this.#windows.delete(oldest);
    // What failed is tried anew by the next read.
    window.catch(() => this.#windows.get(index) === window && this.#windows.delete(index));
    return window;
  }

  async #fetch(begin: number, end: number): Promise<Uint8Array> {
    const { bucket, key, object } = this;
    const { signal } = this.#stop;
    const opened = await getPinned(bucket, key, object, begin, end, signal);
    const window = new Uint8Array(end - begin);
    let done = 0;
    for await (const piece of streamObject(bucket, key, { ...opened, ...object }, { begin, end, signal })) {
      window.set(piece, done);
      done += piece.length;
    }
    return window;
  }
}
