import { crc32 } from 'node:zlib';
import { ClaraError } from '../../base/errors';
import { CHUNK_BYTES, type WireChunk } from '../../federation/chunk-codec';
import { ChunkRing } from '../../federation/chunk-ring';
import type { ObjectStore } from '../storage/object-store';

export interface Download {
  readonly key: string;
  /** `sha256:<hex>` of the whole object. */
  readonly digest: string;
  readonly offset: number;
}

/**
 * The bytes of an object from an offset on, in chunks; the first carries the header, even when no bytes are left. Memory is
 * used again: see {@link ChunkRing}.
 */
export async function* downloadChunks(store: ObjectStore, download: Download): AsyncGenerator<WireChunk> {
  const { key, digest, offset } = download;
  const source = await store.openForRanges(key);
  try {
    const { size } = source;
    if (offset > size)
      throw new ClaraError('invalid-input', `offset ${offset} lies behind the ${size} bytes of ${key}`);
    const sha256 = Buffer.from(digest.slice('sha256:'.length), 'hex');
    const ring = new ChunkRing();
    const known = checksumsOf(digest);
    for (let position = offset; position < size || position === offset; ) {
      const data = ring.next(Math.min(CHUNK_BYTES, size - position));
      await source.read(position, data);
      const checksum = known.of(position, data);
      yield { ...(position === offset && { header: { size, sha256 } }), offset: position, crc32: checksum, data };
      position += data.length;
      if (data.length === 0) return;
    }
  } finally {
    await source.close();
  }
}

interface Checksums {
  /** crc32 of the chunk at this place, computed once for all who download the object from its start. */
  of(position: number, data: Uint8Array): number;
}

const MODELS_REMEMBERED = 8;
const remembered = new Map<string, Map<number, number>>();

/** Every site of a cohort downloads the same model: its chunks' checksums are kept, by the digest of the model. */
function checksumsOf(digest: string): Checksums {
  const known = remembered.get(digest) ?? new Map<number, number>();
  remembered.delete(digest);
  remembered.set(digest, known);
  for (const oldest of remembered.keys()) if (remembered.size > MODELS_REMEMBERED) remembered.delete(oldest);
  return {
    of: (position, data) => {
      // A download that was resumed elsewhere has its chunks in other places.
      if (position % CHUNK_BYTES !== 0) return crc32(data);
      const checksum = known.get(position) ?? crc32(data);
      known.set(position, checksum);
      return checksum;
    },
  };
}
