import { ClaraError } from '../../base/errors';
import { allocateChunkData, CHUNK_BYTES, makeChunk, type WireChunk } from '../../federation/chunk-codec';
import { AHEAD } from '../../federation/stream-flow';
import type { ObjectStore } from '../storage/object-store';
import { type SharedChunk, SharedChunks } from './shared-chunks';

export interface Download {
  readonly key: string;
  /** `sha256:<hex>` of the whole object. */
  readonly digest: string;
  readonly offset: number;
}

/**
 * The bytes of an object from an offset on, in chunks; the first carries the header, even when no bytes are left. Whoever
 * writes them uses `sender()` of stream-flow.ts: a chunk's data are valid until AHEAD + 2 more were asked for.
 */
export async function* downloadChunks(store: ObjectStore, download: Download): AsyncGenerator<WireChunk> {
  const { key, digest, offset } = download;
  const source = await store.openForRanges(key);
  const { size } = source;
  using shared = SharedChunks.of(store, { key, digest, size });
  try {
    if (offset > size)
      throw new ClaraError('invalid-input', `offset ${offset} lies behind the ${size} bytes of ${key}`);
    const header = { size, sha256: Buffer.from(digest.slice('sha256:'.length), 'hex') };
    let position = offset;
    if (offset > 0 || size === 0) {
      // Where only this download begins. The envelope lies beside the data, so a chunk with a header is nobody else's.
      const data = allocateChunkData(Math.min(CHUNK_BYTES - (offset % CHUNK_BYTES), size - offset));
      await source.read(offset, data);
      yield makeChunk(offset, data, header);
      position += data.length;
    }
    const sending: SharedChunk[] = [];
    for (; position < size; position += CHUNK_BYTES) {
      const at = position;
      const chunk = shared.take(at, Math.min(CHUNK_BYTES, size - at), (data) => source.read(at, data));
      await chunk.read;
      sending.push(chunk);
      if (sending.length > AHEAD + 2) shared.giveBack(sending.shift()!);
      yield { ...(at === 0 && { header }), offset: at, crc32: chunk.crc32, data: chunk.data };
    }
  } finally {
    await source.close();
  }
}
