import { ClaraError } from '../../base/errors';
import { DirectoryUpload } from './directory-upload';
import type { ExpectedObject } from './object-store';
import { UploadsByKey } from './uploads-by-key';
import type { Workroom } from './workroom';

/** The store whose uploads they are. */
export interface UploadHome {
  readonly workroom: () => Promise<Workroom>;
  /** Free bytes. */
  readonly room: () => Promise<number>;
  /** Moves a durable file to its key. */
  readonly commit: (key: string, data: string) => Promise<void>;
}

/** The resumable uploads of a store in a folder: one of a key at a time, among all processes, and none begins that cannot fit beside the others. */
export class DirectoryUploads {
  readonly #uploads = new UploadsByKey<DirectoryUpload>();
  /** Those of {@link #uploads} that are open: their missing bytes are spoken for. */
  readonly #openUploads = new Map<string, DirectoryUpload>();

  constructor(private readonly home: UploadHome) {}

  /** As `resumeUpload` of the port. An upload of the key that is open here is suspended. */
  resume(key: string, expected: ExpectedObject): Promise<DirectoryUpload> {
    return this.#uploads.resume(key, expected, () => this.#open(key, expected));
  }

  /** Suspends all that are open. */
  suspend(): Promise<void> {
    return this.#uploads.suspend();
  }

  async #open(key: string, expected: ExpectedObject): Promise<DirectoryUpload> {
    const workroom = await this.home.workroom();
    const lock = await workroom.tryLockUpload(key);
    if (!lock) {
      throw new ClaraError(
        'unavailable',
        `${key} is being uploaded through another process; try again when it is done`,
      );
    }
    try {
      const { size, sha256 } = expected;
      const upload = await DirectoryUpload.open({
        key,
        expected: { size, ...(sha256 === undefined ? {} : { sha256 }) },
        files: workroom.uploadFiles(key),
        lock,
        commit: (data) => this.home.commit(key, data),
      });
      await this.#mustFit(key, upload);
      return upload;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** Refuses what cannot be taken whole before any of it is sent. */
  async #mustFit(key: string, upload: DirectoryUpload): Promise<void> {
    this.#openUploads.delete(key);
    let spokenFor = 0;
    for (const [other, { missingBytes }] of this.#openUploads) {
      if (missingBytes === 0) this.#openUploads.delete(other);
      spokenFor += missingBytes;
    }
    const { missingBytes } = upload;
    const free = (await this.home.room()) - spokenFor;
    if (missingBytes <= free) {
      this.#openUploads.set(key, upload);
      return;
    }
    await upload.suspend();
    throw new ClaraError(
      'out-of-space',
      `${key} needs ${missingBytes} bytes and ${Math.max(0, free)} are free beside other uploads; make room, and the upload goes on`,
    );
  }
}
