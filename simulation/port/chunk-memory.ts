import { CHUNK_BYTES, type WireChunk } from '../../federation/chunk-codec';

/** What is kept for later chunks: more transfers go on at a time in no thread. */
const KEPT = 8;

/**
 * Memory in which chunks go through a port. It changes hands with a chunk, and back with the request for the next one: fresh
 * memory for each would make the garbage collector the costliest part of a simulation.
 */
export class ChunkMemory {
  readonly #free: ArrayBuffer[] = [];

  /** The chunk in memory that can be handed over, and that memory. */
  handOver({ header, offset, crc32, data }: WireChunk): { readonly chunk: WireChunk; readonly memory: ArrayBuffer[] } {
    const fits = data.length <= CHUNK_BYTES;
    const memory = (fits && this.#free.pop()) || newMemory(Math.max(data.length, CHUNK_BYTES));
    const copy = new Uint8Array(memory, 0, data.length);
    copy.set(data);
    const plain = header && { header: { size: header.size, sha256: Uint8Array.from(header.sha256) } };
    return { chunk: { ...plain, offset, crc32, data: copy }, memory: [memory] };
  }

  takeBack(memory: ArrayBuffer | undefined): void {
    if (memory && memory.byteLength >= CHUNK_BYTES && this.#free.length < KEPT) this.#free.push(memory);
  }
}

/** Not cleared: it is written to before it is read. */
function newMemory(bytes: number): ArrayBuffer {
  return Buffer.allocUnsafeSlow(bytes).buffer as ArrayBuffer;
}

/** What came through a port as an array of bytes, as the buffer that it was. */
export function received(chunk: WireChunk): WireChunk {
  const { buffer, byteOffset, length } = chunk.data;
  return { ...chunk, data: Buffer.from(buffer, byteOffset, length) };
}
