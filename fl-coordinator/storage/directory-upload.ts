import path from 'node:path';
import { z } from 'zod';
import { syncFolder, writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { type OpenFile, open, readFile, rm, unlink } from '../../base/files';
import { readFully, writeFully } from '../../base/positioned-io';
import { unlessCode } from '../../base/system-codes';
import { faultPoint } from '../fault-points';
import { storeError } from './file-errors';
import type { FileLock } from './file-lock';
import { infoOf } from './object-file';
import type { ExpectedObject, ObjectInfo, ResumableUpload } from './object-store';

const PIECE_BYTES = 1 << 20;

/** What is known of an upload after a crash. Written only after the data that it vouches for was synced. */
const recordSchema = z.strictObject({
  v: z.literal(1),
  key: z.string(),
  size: z.number().int().min(0),
  sha256: z.string().optional(),
  durable: z.number().int().min(0),
});

export interface DirectoryUploadOptions {
  readonly key: string;
  readonly expected: ExpectedObject;
  readonly files: { readonly data: string; readonly record: string };
  readonly lock: FileLock;
  /** Moves the complete, durable data file to where it is seen. */
  readonly commit: (data: string) => Promise<void>;
}

/**
 * A resumable upload: a data file, and a record of how much of it is durable. After a crash the data file may be longer than
 * the record says; the surplus may be anything after a power cut, so it is cut off. A record without data means nothing,
 * which makes the rename of the data the single step that completes the upload.
 */
export class DirectoryUpload implements ResumableUpload {
  #position: number;
  #durable: number;
  #state: 'open' | 'ended' = 'open';
  /** A record may be there. */
  #isRecorded: boolean;

  private constructor(
    private readonly handle: OpenFile,
    durable: number,
    private readonly options: DirectoryUploadOptions,
  ) {
    this.#position = durable;
    this.#durable = durable;
    this.#isRecorded = durable > 0;
  }

  static async open(options: DirectoryUploadOptions): Promise<DirectoryUpload> {
    const { files } = options;
    const text = await unlessCode(readFile(files.record, 'utf8'), 'ENOENT');
    const durable = text === undefined ? undefined : durableBytesIn(text, options);
    const found = durable === undefined ? undefined : await unlessCode(open(files.data, 'r+'), 'ENOENT');
    if (found !== undefined && durable !== undefined) {
      if ((await found.stat()).size >= durable) {
        await found.truncate(durable);
        return new DirectoryUpload(found, durable, options);
      }
      await found.close();
    }
    if (text !== undefined) {
      // The old record must be gone for good before the data file is another one.
      await unlessCode(unlink(files.record), 'ENOENT');
      await syncFolder(path.dirname(files.data));
    }
    const fresh = () => open(files.data, 'wx+', 0o600);
    const made = await unlessCode(fresh(), 'EEXIST');
    if (made === undefined) await unlessCode(unlink(files.data), 'ENOENT');
    return new DirectoryUpload(made ?? (await fresh()), 0, options);
  }

  get durableBytes(): number {
    return this.#durable;
  }

  /** What still has to come, and to fit. */
  get missingBytes(): number {
    return this.#state === 'open' ? this.options.expected.size - this.#position : 0;
  }

  async *readDurable(): AsyncGenerator<Uint8Array> {
    const end = this.#durable;
    for (let position = 0; position < end; ) {
      const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - position));
      await this.#working(() => readFully(this.handle, position, piece, `the upload of ${this.options.key}`));
      position += piece.length;
      yield piece;
    }
  }

  async append(bytes: Uint8Array): Promise<void> {
    const { key, expected } = this.options;
    if (this.#position + bytes.length > expected.size) {
      throw new ClaraError(
        'invalid-input',
        `the upload of ${key} goes on after its ${expected.size} bytes; announce the right size`,
      );
    }
    await this.#working(() => writeFully(this.handle, this.#position, bytes));
    this.#position += bytes.length;
  }

  async checkpoint(): Promise<number> {
    await this.#working(async () => {
      if (this.#durable === this.#position) return;
      const { key, expected, files } = this.options;
      const durable = this.#position;
      await this.handle.sync();
      faultPoint('store.upload-synced');
      this.#isRecorded = true;
      const record: z.input<typeof recordSchema> = { v: 1, key, ...expected, durable };
      await writeFileDurably(files.record, JSON.stringify(record), { mode: 0o600 });
      this.#durable = durable;
      faultPoint('store.upload-recorded');
    });
    return this.#durable;
  }

  async complete(): Promise<ObjectInfo> {
    const { key, expected, files, commit } = this.options;
    if (this.#position !== expected.size) {
      throw new ClaraError(
        'precondition-failed',
        `the upload of ${key} has ${this.#position} of ${expected.size} bytes; append the rest`,
      );
    }
    return this.#working(async () => {
      await this.handle.sync();
      const { size, etag } = await infoOf(this.handle);
      await commit(files.data);
      faultPoint('store.upload-committed');
      if (this.#isRecorded) await rm(files.record, { force: true });
      await this.#end();
      return { size, etag };
    });
  }

  async suspend(): Promise<void> {
    if (this.#state !== 'open') return;
    try {
      await this.checkpoint();
    } finally {
      await this.#end();
    }
  }

  async discard(): Promise<void> {
    if (this.#state !== 'open') return;
    const { files, key } = this.options;
    try {
      await this.#working(async () => {
        // Whoever closes a large file that is removed already waits until its blocks are free.
        await this.handle.close();
        await rm(files.record, { force: true });
        await rm(files.data, { force: true });
        await syncFolder(path.dirname(files.data));
      });
    } catch (error) {
      throw storeError(error, `discarding the upload of ${key}`);
    } finally {
      await this.#end();
    }
  }

  async #end(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'ended';
    await this.handle.close();
    await this.options.lock.release();
  }

  async #working<Result>(work: () => Promise<Result>): Promise<Result> {
    const { key } = this.options;
    if (this.#state !== 'open') {
      throw new ClaraError('precondition-failed', `this upload of ${key} has ended; resume it again`);
    }
    try {
      return await work();
    } catch (error) {
      throw storeError(error, `uploading ${key}`);
    }
  }
}

/** What a record vouches for; undefined when it is of another object. */
function durableBytesIn(text: string, { key, expected }: DirectoryUploadOptions): number | undefined {
  let record: z.output<typeof recordSchema>;
  try {
    record = recordSchema.parse(JSON.parse(text));
  } catch {
    // Records are replaced whole, so this one was damaged from outside: nothing of the upload can be trusted.
    return undefined;
  }
  const same = record.key === key && record.size === expected.size && record.sha256 === expected.sha256;
  return same && record.durable <= expected.size ? record.durable : undefined;
}
