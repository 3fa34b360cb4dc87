import { ClaraError } from '../../base/errors';
import { type OpenFile, open } from '../../base/files';
import { readLayout } from '../tensors/file';
import type { TensorLayout } from '../tensors/layout';

/** The tensors of a safetensors file, wherever it lies, read by place. */
export interface TensorBytes {
  readonly layout: TensorLayout;
  /** Fills `target` with the bytes from `begin` on in the data section. */
  read(begin: number, target: Uint8Array): Promise<void>;
}

/** A file of this machine. @throws ClaraError `not-found`, `corrupt` */
export class TensorFileBytes implements TensorBytes, AsyncDisposable {
  private constructor(
    private readonly path: string,
    private readonly file: OpenFile,
    readonly layout: TensorLayout,
  ) {}

  static async open(path: string): Promise<TensorFileBytes> {
    const layout = await readLayout(path);
    return new TensorFileBytes(path, await open(path, 'r'), layout);
  }

  async read(begin: number, target: Uint8Array): Promise<void> {
    const start = this.layout.headerBytes.length + begin;
    for (let done = 0; done < target.length; ) {
      const { bytesRead } = await this.file.read(target, done, target.length - done, start + done);
      if (bytesRead === 0) {
        throw new ClaraError('corrupt', `${this.path} ended at byte ${start + done} while it was read`);
      }
      done += bytesRead;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close();
  }
}

/** Bytes of a data section in pieces; each is valid until the next. */
export async function* bytesBetween(
  source: TensorBytes,
  begin: number,
  end: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - begin));
  for (let at = begin; at < end; at += piece.length) {
    signal.throwIfAborted();
    const part = piece.subarray(0, Math.min(piece.length, end - at));
    await source.read(at, part);
    yield part;
  }
}

const PIECE_BYTES = 1 << 20;
