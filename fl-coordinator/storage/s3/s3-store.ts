import type { ByteSource } from '../../../base/durable-file';
import { ClaraError, hasCode } from '../../../base/errors';
import { faultPoint } from '../../fault-points';
import { piecesOf } from '../byte-source';
import { throwIfAborted } from '../file-errors';
import { resolveRange } from '../object-file';
import { checkKey, isKey } from '../object-key';
import type {
  AbortOption,
  ExpectedObject,
  GetOptions,
  ListedObject,
  ListOptions,
  ObjectInfo,
  ObjectStore,
  ObjectWriter,
  RangeReader,
  ResumableUpload,
  StoredObject,
} from '../object-store';
import type { S3Address } from '../store-address';
import { UploadsByKey } from '../uploads-by-key';
import type { WriteCondition } from './s3-answers';
import { S3Bucket } from './s3-bucket';
import { BEHIND_FILES, FORMAT_NAME, S3Files } from './s3-files';
import { S3RangeReader, streamObject } from './s3-reader';
import type { RetryPolicy } from './s3-requests';
import { S3Upload } from './s3-upload';
import { S3Writer } from './s3-writer';

export interface S3StoreOptions {
  readonly retries?: Partial<RetryPolicy>;
  /** Of this machine; decides what was abandoned. */
  readonly now?: () => number;
}

/** Of no object: the MD5 of no bytes, and the mark of a store has some. */
const NO_ETAG = '"d41d8cd98f00b204e9800998ecf8427e"';
/** Between two looks for what crashes have left. */
const SWEEP_EVERY_MS = 24 * 3600e3;

/**
 * Opens a bucket, or a prefix in it, as a store. Credentials come from the SDK's default chain.
 * @throws ClaraError `invalid-input` when there is no such bucket; `permission-denied`; `unavailable`
 */
export async function openS3Store(address: S3Address, options: S3StoreOptions = {}): Promise<S3Store> {
  const bucket = new S3Bucket(address, options.retries);
  try {
    for await (const _ of bucket.list('', { pageSize: 1 })) break;
  } catch (error) {
    bucket.close();
    const { code, message, cause } = ClaraError.from(error);
    throw new ClaraError(code, `opening the store s3://${address.bucket}: ${message}`, { cause: cause ?? error });
  }
  return new S3Store(bucket, options);
}

/**
 * The object store in a bucket of S3: the object `a/b` is `PREFIX/a/b`. S3 shows objects whole or not at all and decides
 * conditional writes; what this adds is written at S3Requests (retries), S3Bucket (lost answers), S3Upload and S3RangeReader.
 */
export class S3Store implements ObjectStore {
  readonly #files: S3Files;
  readonly #uploads = new UploadsByKey<S3Upload>();
  readonly #now: () => number;
  #ready: Promise<void> | undefined;
  #sweptAt = Number.NEGATIVE_INFINITY;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(
    private readonly bucket: S3Bucket,
    { now = Date.now }: S3StoreOptions = {},
  ) {
    this.#files = new S3Files(bucket);
    this.#now = now;
  }

  async get(key: string, { range, signal }: GetOptions = {}): Promise<StoredObject> {
    checkKey(key);
    // What is wrong whatever the size is said before anything is asked.
    const asked = resolveRange(range, Number.POSITIVE_INFINITY, key);
    if (asked.begin === asked.end) return this.#getNothing(key, range);
    try {
      const header = range && `bytes=${asked.begin}-${asked.end === Number.POSITIVE_INFINITY ? '' : asked.end - 1}`;
      const opened = await this.bucket.get(key, { range: header, signal });
      const { size, etag } = opened;
      const end = Math.min(size, asked.end);
      return { size, etag, bytes: streamObject(this.bucket, key, opened, { begin: asked.begin, end, signal }) };
    } catch (error) {
      // S3 has no answer for a range without a byte.
      if (!range || !hasCode(error, 'invalid-input')) throw error;
      return this.#getNothing(key, range);
    }
  }

  async head(key: string): Promise<ObjectInfo> {
    checkKey(key);
    const { size, etag } = await this.bucket.head(key);
    return { size, etag };
  }

  async put(key: string, source: ByteSource, { signal }: AbortOption = {}): Promise<ObjectInfo> {
    checkKey(key);
    await this.#prepare();
    const writer = new S3Writer(this.bucket, key, signal);
    try {
      for await (const piece of piecesOf(source)) {
        throwIfAborted(signal, `writing ${key}`);
        await writer.write(piece);
      }
      throwIfAborted(signal, `writing ${key}`);
      return await writer.finish();
    } finally {
      await writer.discard();
    }
  }

  putIfAbsent(key: string, bytes: Uint8Array): Promise<ObjectInfo> {
    return this.#putIf(key, bytes, { IfNoneMatch: '*' });
  }

  putIfMatch(key: string, bytes: Uint8Array, etag: string): Promise<ObjectInfo> {
    return this.#putIf(key, bytes, { IfMatch: etag });
  }

  async *list(
    prefix: string,
    { after = '', limit = Number.POSITIVE_INFINITY }: ListOptions = {},
  ): AsyncGenerator<ListedObject> {
    let left = limit;
    if (left <= 0) return;
    const asked = asciiBound(after);
    const begin = asked > BEHIND_FILES ? asked : BEHIND_FILES;
    for await (const { name, size } of this.bucket.list(prefix, { after: begin, pageSize: Math.min(limit, 1000) })) {
      if (!isKey(name) || name <= after) continue;
      yield { key: name, size };
      if (--left <= 0) return;
    }
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    await this.bucket.delete(key);
  }

  async openForRanges(key: string): Promise<RangeReader> {
    checkKey(key);
    return new S3RangeReader(this.bucket, key, await this.bucket.head(key));
  }

  async create(key: string): Promise<ObjectWriter> {
    checkKey(key);
    await this.#prepare();
    return new S3Writer(this.bucket, key);
  }

  async resumeUpload(key: string, expected: ExpectedObject): Promise<ResumableUpload> {
    checkKey(key);
    return this.#uploads.resume(key, expected, () => this.#openUpload(key, expected));
  }

  async room(): Promise<number> {
    return Number.POSITIVE_INFINITY;
  }

  /** Suspends open uploads. */
  async close(): Promise<void> {
    await this.#uploads.suspend();
    await this.#sweeping;
    this.bucket.close();
  }

  /** Removes what crashes have left, and what was abandoned; after the sweep that is under way. */
  async sweep(): Promise<void> {
    this.#sweptAt = this.#now();
    await this.#sweeping;
    await this.#files.sweep(this.#sweptAt);
  }

  async #openUpload(key: string, expected: ExpectedObject): Promise<S3Upload> {
    await this.#prepare();
    return S3Upload.open({ bucket: this.bucket, files: this.#files, key, expected });
  }

  async #putIf(key: string, bytes: Uint8Array, condition: WriteCondition): Promise<ObjectInfo> {
    checkKey(key);
    await this.#prepare();
    faultPoint('store.partial-written');
    const info = await this.bucket.put(key, bytes, { condition });
    faultPoint('store.committed');
    return info;
  }

  async #getNothing(key: string, range: GetOptions['range']): Promise<StoredObject> {
    const { size, etag } = await this.bucket.head(key);
    resolveRange(range, size, key);
    return { size, etag, bytes: (async function* () {})() };
  }

  /** Before the first write. */
  async #prepare(): Promise<void> {
    if (this.#ready === undefined) {
      const proving = this.#proveConditions();
      this.#ready = proving;
      proving.catch(() => {
        this.#ready = undefined;
      });
    }
    await this.#ready;
    if (this.#now() - this.#sweptAt < SWEEP_EVERY_MS) return;
    // Nothing waits for it, and what it did not reach is found by the next one.
    this.#sweeping = this.sweep().catch(() => undefined);
  }

  /**
   * Journals are fenced by conditional writes. Some servers that speak S3 ignore the condition and answer success: on such a
   * one two coordinators would overwrite each other's events without a word, so it is refused.
   */
  async #proveConditions(): Promise<void> {
    const writes = async (condition: WriteCondition): Promise<boolean> => {
      try {
        await this.bucket.put(FORMAT_NAME, Buffer.from('{"v":1}'), { condition });
        return true;
      } catch (error) {
        if (hasCode(error, 'precondition-failed')) return false;
        throw error;
      }
    };
    const ifAbsent = { IfNoneMatch: '*' } as const;
    const ignored = (await writes(ifAbsent)) && (await writes(ifAbsent)) ? 'If-None-Match' : undefined;
    if (ignored === undefined && !(await writes({ IfMatch: NO_ETAG }))) return;
    throw new ClaraError(
      'unsupported',
      `this server ignores conditions of writes (${ignored ?? 'If-Match'}), by which coordinators fence each other; use AWS S3 or a server that honours them`,
    );
  }
}

/** Keys are ASCII: the greatest text below which lies every key that `after` excludes, as S3 takes it. */
function asciiBound(after: string): string {
  const odd = /[^\x20-\x7e]/.exec(after);
  if (!odd) return after;
  const start = after.slice(0, odd.index);
  return odd[0] > '~' ? `${start}~` : start;
}
