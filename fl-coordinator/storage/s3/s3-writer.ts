import type { CompletedPart } from '@aws-sdk/client-s3';
import { ClaraError } from '../../../base/errors';
import { faultPoint } from '../../fault-points';
import type { ObjectInfo, ObjectWriter } from '../object-store';
import type { PartsUpload, S3Bucket } from './s3-bucket';

/**
 * S3 takes 10,000 parts of at least 5 MiB (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html): with this size
 * an object may have 78 GiB. Twice it is the memory that a writer uses.
 */
export const PART_BYTES = 8 << 20;

/** An object that is written in order: in one request when it is small, in parts when it is not. */
export class S3Writer implements ObjectWriter {
  #buffer = new Uint8Array(0);
  #filled = 0;
  #size = 0;
  #parts: PartsUpload | undefined;
  readonly #completed: CompletedPart[] = [];
  /** The part before the one that is being filled, on its way. */
  #sending: Promise<void> = Promise.resolve();
  #state: 'open' | 'finished' | 'discarded' = 'open';

  constructor(
    private readonly bucket: S3Bucket,
    private readonly key: string,
    private readonly signal?: AbortSignal,
  ) {}

  async write(bytes: Uint8Array): Promise<void> {
    this.#mustBeOpen();
    for (let done = 0; done < bytes.length; ) {
      // Small objects are the rule; only what outgrows the first allocation takes a whole part's memory.
      this.#buffer = roomFor(this.#buffer, this.#filled + bytes.length - done, this.#filled);
      const piece = bytes.subarray(done, done + this.#buffer.length - this.#filled);
      this.#buffer.set(piece, this.#filled);
      this.#filled += piece.length;
      done += piece.length;
      if (this.#filled === PART_BYTES && done < bytes.length) await this.#sendPart();
    }
    this.#size += bytes.length;
    faultPoint('store.partial-half-written');
  }

  async finish(): Promise<ObjectInfo> {
    this.#mustBeOpen();
    this.#state = 'finished';
    try {
      const info = await this.#commit();
      faultPoint('store.committed');
      return info;
    } catch (error) {
      await this.#abort();
      throw error;
    }
  }

  async discard(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'discarded';
    await this.#abort();
  }

  async #commit(): Promise<ObjectInfo> {
    const { bucket, key, signal } = this;
    if (!this.#parts) {
      faultPoint('store.partial-written');
      return bucket.put(key, this.#buffer.subarray(0, this.#filled), { signal });
    }
    await this.#sendPart();
    await this.#sending;
    faultPoint('store.partial-written');
    return bucket.finishParts(this.#parts, this.#completed, this.#size);
  }

  async #sendPart(): Promise<void> {
    await this.#sending;
    this.#parts ??= await this.bucket.beginParts(this.key);
    const parts = this.#parts;
    const number = this.#completed.length + 1;
    const bytes = this.#buffer.subarray(0, this.#filled);
    this.#buffer = new Uint8Array(0);
    this.#filled = 0;
    this.#sending = this.bucket.putPart(parts, number, bytes).then((part) => void this.#completed.push(part));
    // Its failure is met by whoever waits for it next.
    this.#sending.catch(() => undefined);
  }

  async #abort(): Promise<void> {
    await this.#sending.catch(() => undefined);
    // What cannot be given up now is found by the next sweep.
    if (this.#parts) await this.bucket.abortParts(this.#parts).catch(() => undefined);
    this.#buffer = new Uint8Array(0);
  }

  #mustBeOpen(): void {
    if (this.#state === 'open') return;
    throw new ClaraError('precondition-failed', `the writer of ${this.key} is ${this.#state}; create a new one`);
  }
}

/** `buffer` with its first `filled` bytes, long enough for `wanted`, but never longer than a part. */
export function roomFor(buffer: Uint8Array, wanted: number, filled: number): Uint8Array<ArrayBuffer> {
  if (buffer.length >= Math.min(wanted, PART_BYTES)) return buffer as Uint8Array<ArrayBuffer>;
  const larger = new Uint8Array(wanted > PART_BYTES / 8 ? PART_BYTES : wanted);
  larger.set(buffer.subarray(0, filled));
  return larger;
}
