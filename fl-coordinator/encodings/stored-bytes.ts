import { createHash } from 'node:crypto';
import type { TensorBytes } from '../../federation/encodings/tensor-bytes';
import type { TensorLayout } from '../../federation/tensors/layout';
import { layoutOf } from '../aggregation/stored-layout';
import type { ObjectStore, RangeReader } from '../storage/object-store';

/** A safetensors object of the store. */
export class StoredBytes implements TensorBytes, AsyncDisposable {
  private constructor(
    private readonly reader: RangeReader,
    readonly layout: TensorLayout,
  ) {}

  /** @throws ClaraError `not-found`, `corrupt` */
  static async open(store: ObjectStore, key: string): Promise<StoredBytes> {
    const reader = await store.openForRanges(key);
    try {
      return new StoredBytes(reader, await layoutOf(reader, key));
    } catch (error) {
      await reader.close();
      throw error;
    }
  }

  read(begin: number, target: Uint8Array): Promise<void> {
    return this.reader.read(this.layout.headerBytes.length + begin, target);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.reader.close();
  }
}

/** What the store holds under a key. */
export interface MadeObject {
  /** `sha256:<hex>` */
  readonly digest: string;
  readonly bytes: number;
}

/** Writes an object; when the source fails nothing of it is visible. */
export async function putDigested(
  store: ObjectStore,
  key: string,
  pieces: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<MadeObject> {
  const hash = createHash('sha256');
  async function* digested(): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      hash.update(piece);
      yield piece;
    }
  }
  const { size } = await store.put(key, digested(), { signal });
  return { digest: `sha256:${hash.digest('hex')}`, bytes: size };
}
