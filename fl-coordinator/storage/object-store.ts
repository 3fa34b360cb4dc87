import type { ByteSource } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';

/**
 * Where the coordinator keeps everything: journals, models, updates. The port that every adapter fulfils;
 * `test/contract/object-store.contract.ts` is its definition in tests.
 *
 * What holds for every method of every adapter
 * - An object is there whole or not at all, whatever dies when; what a method acknowledged survives a power cut.
 * - Many processes may use one store. Each method takes effect at one instant.
 * - Keys are segments joined by `/` (object-key.ts). No key may be a folder of another: `a` and `a/b` exclude each other.
 * - Errors are ClaraErrors: `invalid-input` (key, range), `not-found`, `precondition-failed`, `out-of-space`, `corrupt`,
 *   `permission-denied`, `unavailable` (may work later), `cancelled` (the signal).
 */
export interface ObjectStore {
  /**
   * Opens an object. A later change of the key does not touch the bytes of this answer; where the old content cannot be kept,
   * the stream ends with `precondition-failed`. It must be read to its end or left by `break`, which both release it.
   * @throws ClaraError `not-found`; `invalid-input` when the range starts behind the end
   */
  get(key: string, options?: GetOptions): Promise<StoredObject>;

  /** @throws ClaraError `not-found` */
  head(key: string): Promise<ObjectInfo>;

  /** Creates or replaces. */
  put(key: string, source: ByteSource, options?: AbortOption): Promise<ObjectInfo>;

  /** Creates; of any number of processes that try, one succeeds. @throws ClaraError `precondition-failed` when the key is taken */
  putIfAbsent(key: string, bytes: Uint8Array): Promise<ObjectInfo>;

  /**
   * Replaces the content that has this etag; of any number of processes that try with one etag, one succeeds.
   * @throws ClaraError `precondition-failed` when the key is gone or its content is another
   */
  putIfMatch(key: string, bytes: Uint8Array, etag: string): Promise<ObjectInfo>;

  /** Keys that start with `prefix`, in the order of their bytes. Objects made or deleted meanwhile may or may not appear. */
  list(prefix: string, options?: ListOptions): AsyncIterable<ListedObject>;

  /** Does nothing when there is no such object. */
  delete(key: string): Promise<void>;

  /** Random access for aggregation and downloads. A later change of the key touches an open reader as it does a stream of `get`. */
  openForRanges(key: string): Promise<RangeReader>;

  /** A new object, written in order; visible from `finish` on. */
  create(key: string): Promise<ObjectWriter>;

  /**
   * The unfinished upload under this key, found again after any crash, or a new one when there is none of the same size and
   * digest. One at a time: opening it again in this process ends the earlier handle (its methods then throw
   * `precondition-failed`). While another living process has it open it is `unavailable` where that can be told (a folder), and
   * is taken over where it cannot (a bucket): the other handle's next checkpoint or completion throws `precondition-failed`.
   * @throws ClaraError `out-of-space` when the missing bytes of this and of the other open uploads do not fit any more
   */
  resumeUpload(key: string, expected: ExpectedObject): Promise<ResumableUpload>;

  /** Bytes that can still be written; infinity where there is no end or nobody can tell. */
  room(): Promise<number>;
}

export interface AbortOption {
  readonly signal?: AbortSignal | undefined;
}

export interface GetOptions extends AbortOption {
  /** Bytes from `offset` on, at most `length`; a range that reaches behind the end is cut. @default the whole object */
  readonly range?: { readonly offset: number; readonly length?: number } | undefined;
}

export interface ObjectInfo {
  /** Bytes of the whole object. */
  readonly size: number;
  /** Opaque; differs when the content differs. Good for `putIfMatch`. */
  readonly etag: string;
}

export interface StoredObject extends ObjectInfo {
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface ListOptions {
  /** Only keys behind this text; it need not be a key. */
  readonly after?: string;
  readonly limit?: number;
}

export interface ListedObject {
  readonly key: string;
  readonly size: number;
}

export interface RangeReader {
  readonly size: number;
  /** Fills `target` from `offset` on. Several reads may run at once. @throws ClaraError `corrupt` when the object ends before */
  read(offset: number, target: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

export interface ObjectWriter {
  /** Appends. `bytes` belong to the writer until the promise settles. */
  write(bytes: Uint8Array): Promise<void>;
  /** Durable, then visible, replacing what was there. */
  finish(): Promise<ObjectInfo>;
  /** Nothing was there; harmless after `finish`. */
  discard(): Promise<void>;
}

export interface ExpectedObject {
  /** Bytes of the complete object. */
  readonly size: number;
  /** Lower-case hexadecimal. Names the content, so that another content does not continue this one; the caller verifies it. */
  readonly sha256?: string;
}

export interface ResumableUpload {
  /** How many bytes will survive any crash from now on; after opening, where the sender must go on. */
  readonly durableBytes: number;
  /** The durable bytes from the start, for whoever must judge them again. */
  readDurable(): AsyncIterable<Uint8Array>;
  /**
   * The memory of `bytes` may be used again once the promise has settled.
   * @throws ClaraError `invalid-input` when this goes beyond the expected size
   */
  append(bytes: Uint8Array): Promise<void>;
  /** Makes everything appended durable. @returns the durable offset */
  checkpoint(): Promise<number>;
  /** Makes the object visible, replacing what was there. @throws ClaraError `precondition-failed` when bytes are missing */
  complete(): Promise<ObjectInfo>;
  /** Lets go of the upload and keeps what is durable; harmless after `complete`. */
  suspend(): Promise<void>;
  /** Throws the upload away; harmless after `complete`. */
  discard(): Promise<void>;
}

/**
 * A whole object in memory.
 * @throws ClaraError `not-found`; `resource-exhausted` when it has more than `maxBytes`
 */
export async function readAll(
  store: Pick<ObjectStore, 'get'>,
  key: string,
  maxBytes: number,
  options: AbortOption = {},
): Promise<Buffer> {
  const { bytes, size } = await store.get(key, options);
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes) {
    if (size > maxBytes) {
      throw new ClaraError('resource-exhausted', `${key} has ${size} bytes; at most ${maxBytes} are read at once`);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
