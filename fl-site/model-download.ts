import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import path from 'node:path';
import { inFolder } from '../base/durable-file';
import { ClaraError } from '../base/errors';
import { type OpenFile, open, rename, rm } from '../base/files';
import { writeFully } from '../base/positioned-io';
import { checkCrc, type WireChunk } from '../federation/chunk-codec';
import { releaseMessage } from '../federation/grpc-memory';
import type { BlobDescription, CoordinatorClient } from './coordinator-client';
import { type AttemptOptions, untilTransferred } from './transfer-attempts';

export interface ModelDownload extends AttemptOptions {
  readonly client: Pick<CoordinatorClient, 'download'>;
  /** What the coordinator is asked for. */
  readonly object: string;
  /** What must arrive. */
  readonly blob: BlobDescription;
  /** Appears when the download is complete and verified, never before. */
  readonly target: string;
  readonly onBytes: (done: number) => void;
}

const PIECE_BYTES = 1024 * 1024;

/**
 * Downloads a model. After a cut it goes on at the byte where it stopped, also in a new process: the partial file is hashed
 * again first, so nothing that a crash did to it goes unnoticed. The file is not made durable: see model-cache.ts.
 *
 * @throws ClaraError `corrupt` when the coordinator offers another object than the task named, or damage repeats
 */
export async function downloadModel(download: ModelDownload): Promise<void> {
  const { target, blob } = download;
  const partial = `${target}.partial`;
  const file = await inFolder(path.dirname(target), () => open(partial, constants.O_RDWR | constants.O_CREAT, 0o644));
  try {
    const received = await ReceivedBytes.resume(file, blob, download.signal);
    await untilTransferred((moved) => receive(download, received, moved), download);
  } catch (error) {
    await file.close();
    if (!download.signal.aborted) await rm(partial, { force: true });
    throw error;
  }
  await file.close();
  await rename(partial, target);
}

async function receive(download: ModelDownload, received: ReceivedBytes, moved: () => void): Promise<void> {
  const { object, blob, client, signal } = download;
  download.onBytes(received.length);
  if (received.length < blob.size) {
    let first = true;
    for await (const chunk of client.download(object, received.length, signal)) {
      signal.throwIfAborted();
      if (first) checkHeader(object, blob, chunk);
      first = false;
      await received.append(object, chunk);
      releaseMessage(chunk.data);
      moved();
      download.onBytes(received.length);
    }
    if (received.length < blob.size) {
      throw new ClaraError('unavailable', `the download of ${object} ended at byte ${received.length} of ${blob.size}`);
    }
  }
  if (!(await received.isWhole())) {
    throw new ClaraError('corrupt', `the bytes of ${object} do not have the digest that the task names`);
  }
}

function checkHeader(object: string, blob: BlobDescription, { header }: WireChunk): void {
  if (header === undefined) throw new ClaraError('corrupt', `the download of ${object} began without a header`);
  if (header.size !== blob.size || !Buffer.from(blob.sha256).equals(header.sha256)) {
    throw new ClaraError(
      'precondition-failed',
      `the coordinator offers ${object} with other contents than the task names; the task must be sent again`,
    );
  }
}

/** The verified beginning of the object: on disk, and in the hash. */
class ReceivedBytes {
  #hash: Hash = createHash('sha256');
  #length = 0;

  private constructor(
    private readonly file: OpenFile,
    private readonly blob: BlobDescription,
  ) {}

  static async resume(file: OpenFile, blob: BlobDescription, signal: AbortSignal): Promise<ReceivedBytes> {
    const received = new ReceivedBytes(file, blob);
    const { size } = await file.stat();
    if (size > blob.size) await file.truncate(0);
    else await received.#hashUpTo(size, signal);
    return received;
  }

  get length(): number {
    return this.#length;
  }

  async append(object: string, chunk: WireChunk): Promise<void> {
    if (chunk.offset !== this.#length) {
      throw new ClaraError(
        'corrupt',
        `a chunk of ${object} starts at byte ${chunk.offset} where byte ${this.#length} was expected`,
      );
    }
    if (this.#length + chunk.data.length > this.blob.size) {
      throw new ClaraError('corrupt', `${object} goes on after the ${this.blob.size} bytes that the task names`);
    }
    checkCrc(chunk);
    await writeFully(this.file, this.#length, chunk.data);
    this.#hash.update(chunk.data);
    this.#length += chunk.data.length;
  }

  /** Compares the digest; when it differs everything starts afresh, since nobody can tell which bytes are wrong. */
  async isWhole(): Promise<boolean> {
    if (this.#hash.copy().digest().equals(this.blob.sha256)) return true;
    await this.file.truncate(0);
    this.#hash = createHash('sha256');
    this.#length = 0;
    return false;
  }

  async #hashUpTo(size: number, signal: AbortSignal): Promise<void> {
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    while (this.#length < size) {
      signal.throwIfAborted();
      const { bytesRead } = await this.file.read(piece, 0, piece.length, this.#length);
      if (bytesRead === 0) return;
      this.#hash.update(piece.subarray(0, bytesRead));
      this.#length += bytesRead;
    }
  }
}
