import { ClaraError } from '../../base/errors';
import type { ExpectedObject, ResumableUpload } from './object-store';

/** The resumable uploads that are open in a store: one of a key at a time. */
export class UploadsByKey<Upload extends ResumableUpload> {
  readonly #uploads = new Map<string, Promise<Upload>>();

  /**
   * Opens the upload of a key once the one before it is suspended.
   * @throws ClaraError `invalid-input` for an impossible size; what `open` throws
   */
  async resume(key: string, { size }: ExpectedObject, open: () => Promise<Upload>): Promise<Upload> {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new ClaraError('invalid-input', `the size ${size} of ${key} must be a whole number of bytes`);
    }
    const upload = openAfter(this.#uploads.get(key), open);
    this.#uploads.set(key, upload);
    // A failed one must not stand in the way of the next.
    upload.catch(() => this.#uploads.get(key) === upload && this.#uploads.delete(key));
    return upload;
  }

  /** Suspends all that are open. */
  async suspend(): Promise<void> {
    const uploads = [...this.#uploads.values()];
    this.#uploads.clear();
    await Promise.allSettled(uploads.map(async (upload) => (await upload).suspend()));
  }
}

async function openAfter<Upload extends ResumableUpload>(
  before: Promise<Upload> | undefined,
  open: () => Promise<Upload>,
): Promise<Upload> {
  const earlier = await before?.catch(() => undefined);
  await earlier?.suspend();
  return open();
}
