import { ClaraError } from '../../base/errors';
import { allocateChunkData, CHUNK_BYTES, makeChunk, type WireChunk } from '../../federation/chunk-codec';
import type { ObjectStore } from '../storage/object-store';

export interface Download {
  readonly key: string;
  /** `sha256:<hex>` of the whole object. */
  readonly digest: string;
  readonly offset: number;
}

/** The bytes of an object from an offset on, in chunks; the first carries the header, even when no bytes are left. */
export async function* downloadChunks(store: ObjectStore, download: Download): AsyncGenerator<WireChunk> {
  const { key, digest, offset } = download;
  const source = await store.openForRanges(key);
  try {
    const { size } = source;
    if (offset > size)
      throw new ClaraError('invalid-input', `offset ${offset} lies behind the ${size} bytes of ${key}`);
    const sha256 = Buffer.from(digest.slice('sha256:'.length), 'hex');
    for (let position = offset; position < size || position === offset; ) {
      // A fresh buffer for each chunk: the transport still holds the earlier ones.
      const data = allocateChunkData(Math.min(CHUNK_BYTES, size - position));
      await source.read(position, data);
      yield makeChunk(position, data, position === offset ? { size, sha256 } : undefined);
      position += data.length;
      if (data.length === 0) return;
    }
  } finally {
    await source.close();
  }
}
