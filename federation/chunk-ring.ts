import { allocateChunkData, CHUNK_BYTES } from './chunk-codec';
import { AHEAD } from './stream-flow';

/**
 * Memory for the chunks of one stream, used again and again: fresh memory for each would make the garbage collector the
 * costliest part of a transfer. Whoever writes the chunks uses `sender()` of stream-flow.ts, which lets at most AHEAD + 1
 * messages wait; grpc-js copies a message when its turn comes, so memory is free again by the time it comes round.
 */
export class ChunkRing {
  readonly #slots: Buffer[] = [];
  #turn = 0;

  /** Memory for the next chunk, of at most CHUNK_BYTES. */
  next(length: number): Buffer {
    const slot = this.#turn++ % (AHEAD + 2);
    this.#slots[slot] ??= allocateChunkData(CHUNK_BYTES);
    return this.#slots[slot]!.subarray(0, length);
  }
}
