import { createHash, type Hash } from 'node:crypto';
import { ClaraError } from '../../base/errors';
import { type OpenFile, open, rm } from '../../base/files';
import { writeFully } from '../../base/positioned-io';
import { faultPoint } from '../fault-points';
import { storeError } from './file-errors';
import { DIGEST_ETAG_BYTES, etagOfDigest, infoOf } from './object-file';
import type { ObjectInfo, ObjectWriter } from './object-store';

/** Moves a durable partial file to where it is seen. */
type Commit = (partial: string) => Promise<void>;

/** An object that is being written beside its place, and appears there whole. */
export class PartialFile implements ObjectWriter {
  #position = 0;
  /** Of a small object: its etag, so that nothing is read back for it. */
  #digest: Hash | undefined = createHash('sha256');
  #state: 'open' | 'finished' | 'discarded' = 'open';

  private constructor(
    private readonly handle: OpenFile,
    private readonly file: string,
    private readonly key: string,
    private readonly commit: Commit,
  ) {}

  static async create(file: string, key: string, commit: Commit): Promise<PartialFile> {
    return new PartialFile(await open(file, 'wx+', 0o600), file, key, commit);
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#mustBeOpen();
    try {
      await writeFully(this.handle, this.#position, bytes);
    } catch (error) {
      throw storeError(error, `writing ${this.key}`);
    }
    this.#position += bytes.length;
    this.#digest = this.#position > DIGEST_ETAG_BYTES ? undefined : this.#digest?.update(bytes);
    faultPoint('store.partial-half-written');
  }

  async finish(): Promise<ObjectInfo> {
    this.#mustBeOpen();
    this.#state = 'finished';
    try {
      await this.handle.sync();
      const digest = this.#digest?.digest('hex');
      const { size, etag } = digest ? { size: this.#position, etag: etagOfDigest(digest) } : await infoOf(this.handle);
      await this.handle.close();
      faultPoint('store.partial-written');
      await this.commit(this.file);
      return { size, etag };
    } catch (error) {
      await this.#remove();
      throw storeError(error, `writing ${this.key}`);
    }
  }

  async discard(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'discarded';
    await this.#remove();
  }

  async #remove(): Promise<void> {
    await this.handle.close().catch(() => undefined);
    await rm(this.file, { force: true });
  }

  #mustBeOpen(): void {
    if (this.#state === 'open') return;
    throw new ClaraError('precondition-failed', `the writer of ${this.key} is ${this.#state}; create a new one`);
  }
}
