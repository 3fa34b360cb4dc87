import { crc32 } from '@node-rs/crc32';
import { ClaraError } from '../base/errors';
import type { OpenFile } from '../base/files';
import { CHUNK_BYTES, type WireBlobHeader, type WireChunk } from './chunk-codec';
import { ChunkRing } from './chunk-ring';

export interface FileChunks {
  /** The sentence's subject, for example `the update of task x`. */
  readonly what: string;
  readonly header: WireBlobHeader;
  /** Where to begin. @default 0 */
  readonly begin?: number;
  readonly signal?: AbortSignal | undefined;
  /** Told of every offset that was reached. */
  readonly onBytes?: (done: number) => void;
}

/**
 * The bytes of an open file as the chunks of one stream; the first carries the header. Memory is used again: see
 * {@link ChunkRing}.
 * @throws ClaraError `precondition-failed` when the file ends before the size in the header
 */
export async function* fileChunks(file: OpenFile, chunks: FileChunks): AsyncGenerator<WireChunk> {
  const { what, header, begin = 0, signal, onBytes } = chunks;
  const ring = new ChunkRing();
  for (let offset = begin; offset < header.size; ) {
    signal?.throwIfAborted();
    const data = ring.next(Math.min(CHUNK_BYTES, header.size - offset));
    const { bytesRead } = await file.read(data, 0, data.length, offset);
    if (bytesRead === 0) {
      throw new ClaraError('precondition-failed', `${what} ends at byte ${offset} of ${header.size}`);
    }
    const bytes = data.subarray(0, bytesRead);
    yield { ...(offset === begin && { header }), offset, crc32: crc32(bytes), data: bytes };
    offset += bytesRead;
    onBytes?.(offset);
  }
}
