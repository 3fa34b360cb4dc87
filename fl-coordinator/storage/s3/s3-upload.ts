import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { ClaraError, hasCode } from '../../../base/errors';
import { faultPoint } from '../../fault-points';
import { type ExpectedObject, type ObjectInfo, type ResumableUpload, readAll } from '../object-store';
import type { S3Bucket } from './s3-bucket';
import type { S3Files } from './s3-files';
import { PART_BYTES, roomFor } from './s3-writer';

/** What an upload is, and who has it open. The pieces beside it are what is durable. */
const recordSchema = z.strictObject({
  v: z.literal(1),
  key: z.string(),
  size: z.number().int().min(0),
  sha256: z.string().optional(),
  /** Names the pieces; another content has another generation. */
  generation: z.string().regex(/^[0-9a-f]{16}$/),
  /** Of the handle that opened it last; earlier ones have lost it. */
  owner: z.string().regex(/^[0-9a-f]{16}$/),
});
type Record = z.output<typeof recordSchema>;

const MAX_RECORD_BYTES = 4096;
/** Requests at once when the object is put together. */
const COPIES_AT_ONCE = 8;

interface Piece {
  readonly name: string;
  readonly size: number;
  readonly etag: string;
}

export interface S3UploadOptions {
  readonly bucket: S3Bucket;
  readonly files: S3Files;
  readonly key: string;
  readonly expected: ExpectedObject;
}

/**
 * A resumable upload: pieces of one part's size, each an object, and a record. Parts of an unfinished multipart upload cannot be
 * read, and whoever goes on after a crash must judge the durable bytes again; so the pieces are objects, and completing makes
 * S3 copy them into a multipart upload of the key. The last piece may be short: a checkpoint writes it, and it is written again
 * when it has grown. What fits into one part and is never interrupted is one request.
 *
 * Whoever opens an upload writes itself into the record (`If-Match`); an earlier handle finds that out at its next checkpoint or
 * completion. Until then it can only have written bytes of the same content under the same names.
 */
export class S3Upload implements ResumableUpload {
  #state: 'open' | 'ended' = 'open';
  #buffer = new Uint8Array(0);
  #filled = 0;
  /** The full piece before the one that is being filled, on its way. */
  #sending: Promise<void> = Promise.resolve();

  private constructor(
    private readonly options: S3UploadOptions,
    private readonly record: Record,
    /** Etag of the record as this handle wrote it; undefined until there is a piece to vouch for. */
    private recordEtag: string | undefined,
    /** In order; all but the last have the size of a part. */
    private readonly pieces: Piece[],
  ) {}

  static open(options: S3UploadOptions): Promise<S3Upload> {
    return named(options.key, () => S3Upload.#open(options));
  }

  static async #open(options: S3UploadOptions): Promise<S3Upload> {
    const { files, key, expected } = options;
    const owner = randomBytes(8).toString('hex');
    const found = await files.readRecord(key, MAX_RECORD_BYTES);
    const known = found && parseRecord(found.text);
    const goesOn = known?.key === key && known.size === expected.size && known.sha256 === expected.sha256;
    const { size, sha256 } = expected;
    const generation = goesOn ? known.generation : randomBytes(8).toString('hex');
    const record: Record = { v: 1, key, size, ...(sha256 === undefined ? {} : { sha256 }), generation, owner };
    const etag = found && (await writeRecord(options, record, found.etag));
    if (found && !goesOn) await files.removePieces(key, known?.generation);
    const upload = new S3Upload(options, record, etag, goesOn ? await files.pieces(key, generation, size) : []);
    await upload.#takeUpShortPiece();
    return upload;
  }

  get durableBytes(): number {
    return this.pieces.reduce((sum, { size }) => sum + size, 0);
  }

  async *readDurable(): AsyncGenerator<Uint8Array> {
    const { files } = this.options;
    for (const piece of [...this.pieces]) {
      this.#mustBeOpen();
      yield await readAll(files, piece.name, PART_BYTES);
    }
  }

  async append(bytes: Uint8Array): Promise<void> {
    this.#mustBeOpen();
    const { key, expected } = this.options;
    if (this.#position + bytes.length > expected.size) {
      throw new ClaraError(
        'invalid-input',
        `the upload of ${key} goes on after its ${expected.size} bytes; announce the right size`,
      );
    }
    for (let done = 0; done < bytes.length; ) {
      if (this.#filled === PART_BYTES) await this.#sendPiece();
      this.#buffer = roomFor(this.#buffer, this.#filled + bytes.length - done, this.#filled);
      const taken = bytes.subarray(done, done + this.#buffer.length - this.#filled);
      this.#buffer.set(taken, this.#filled);
      this.#filled += taken.length;
      done += taken.length;
    }
  }

  async checkpoint(): Promise<number> {
    this.#mustBeOpen();
    await this.#sending;
    if (this.durableBytes < this.#position) {
      await this.#mustBeOwner();
      await this.#putPiece(this.#number, this.#buffer.subarray(0, this.#filled));
      faultPoint('store.upload-recorded');
    }
    return this.durableBytes;
  }

  async complete(): Promise<ObjectInfo> {
    this.#mustBeOpen();
    const { key, expected, bucket, files } = this.options;
    if (this.#position !== expected.size) {
      throw new ClaraError(
        'precondition-failed',
        `the upload of ${key} has ${this.#position} of ${expected.size} bytes; append the rest`,
      );
    }
    await this.#sending;
    if (this.recordEtag !== undefined) await this.#mustBeOwner();
    const last = this.#buffer.subarray(0, this.#filled);
    const info = this.#number === 1 ? await bucket.put(key, last) : await this.#putTogether(last);
    faultPoint('store.committed');
    faultPoint('store.upload-committed');
    this.#end();
    if (this.recordEtag !== undefined) await files.removeUpload(key, this.record.generation);
    return info;
  }

  async suspend(): Promise<void> {
    if (this.#state !== 'open') return;
    try {
      await this.checkpoint();
    } finally {
      this.#end();
    }
  }

  async discard(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#end();
    await this.#sending.catch(() => undefined);
    if (this.recordEtag === undefined) return;
    // Of an upload that somebody else has taken over nothing is removed.
    const { key, files } = this.options;
    if ((await files.recordEtag(key)) === this.recordEtag) await files.removeUpload(key, this.record.generation);
  }

  get #position(): number {
    return (this.#number - 1) * PART_BYTES + this.#filled;
  }

  /** Of the piece that is being filled, from 1. Those before it are full. */
  #number = 1;

  /** The short piece goes on growing in memory; it stays durable meanwhile. */
  async #takeUpShortPiece(): Promise<void> {
    const last = this.pieces.at(-1);
    this.#number = this.pieces.length + 1;
    if (!last || last.size === PART_BYTES) return;
    const bytes = await readAll(this.options.files, last.name, PART_BYTES);
    if (bytes.length !== last.size) throw takenOver(this.options.key);
    this.#number = this.pieces.length;
    this.#buffer = roomFor(new Uint8Array(0), bytes.length, 0);
    this.#buffer.set(bytes);
    this.#filled = bytes.length;
  }

  async #sendPiece(): Promise<void> {
    await this.#sending;
    const bytes = this.#buffer;
    const number = this.#number++;
    this.#buffer = new Uint8Array(0);
    this.#filled = 0;
    this.#sending = this.#putPiece(number, bytes);
    // Its failure is met by whoever waits for it next.
    this.#sending.catch(() => undefined);
  }

  async #putPiece(number: number, bytes: Uint8Array): Promise<void> {
    const { bucket, files, key } = this.options;
    this.recordEtag ??= await writeRecord(this.options, this.record, undefined);
    const name = files.pieceName(key, this.record.generation, number);
    this.pieces[number - 1] = { name, ...(await named(key, () => bucket.put(name, bytes))) };
  }

  /** The pieces and what is in memory behind them, as one object; S3 copies what it has. */
  async #putTogether(last: Uint8Array): Promise<ObjectInfo> {
    const { bucket, key, expected } = this.options;
    const full = this.pieces.slice(0, this.#number - 1);
    const parts = await bucket.beginParts(key);
    try {
      const completed = await mapAtOnce(full, COPIES_AT_ONCE, ({ name, etag }, i) =>
        bucket.copyPart(parts, i + 1, name, etag),
      );
      if (last.length > 0) completed.push(await bucket.putPart(parts, this.#number, last));
      faultPoint('store.partial-written');
      return await bucket.finishParts(parts, completed, expected.size);
    } catch (error) {
      await bucket.abortParts(parts).catch(() => undefined);
      throw hasCode(error, 'precondition-failed', 'not-found') ? takenOver(key, error) : error;
    }
  }

  async #mustBeOwner(): Promise<void> {
    const { files, key } = this.options;
    this.recordEtag ??= await writeRecord(this.options, this.record, undefined);
    if ((await files.recordEtag(key)) === this.recordEtag) return;
    this.#end();
    throw takenOver(key);
  }

  #mustBeOpen(): void {
    if (this.#state === 'open') return;
    throw new ClaraError('precondition-failed', `this upload of ${this.options.key} has ended; resume it again`);
  }

  #end(): void {
    this.#state = 'ended';
    this.#buffer = new Uint8Array(0);
  }
}

async function writeRecord(
  { bucket, files, key }: S3UploadOptions,
  record: Record,
  etag: string | undefined,
): Promise<string> {
  const condition = etag === undefined ? ({ IfNoneMatch: '*' } as const) : { IfMatch: etag };
  try {
    return (await bucket.put(files.recordName(key), Buffer.from(JSON.stringify(record)), { condition })).etag;
  } catch (error) {
    throw hasCode(error, 'precondition-failed') ? takenOver(key, error) : error;
  }
}

/** Failures of the upload's own objects, which nobody knows, name the key. */
async function named<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (thrown) {
    const { code, message, cause } = ClaraError.from(thrown);
    throw message.includes(key) ? thrown : new ClaraError(code, `uploading ${key}: ${message}`, { cause });
  }
}

function parseRecord(text: string): Record | undefined {
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch {
    // Records are replaced whole, so this one was damaged from outside: nothing of the upload can be trusted.
    return undefined;
  }
}

function takenOver(key: string, cause?: unknown): ClaraError {
  const message = `the upload of ${key} was taken over or changed by somebody else; resume it again`;
  return new ClaraError('precondition-failed', message, { cause });
}

async function mapAtOnce<Item, Result>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = new Array(items.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]!, index);
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: atOnce }, worker));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  return results;
}
