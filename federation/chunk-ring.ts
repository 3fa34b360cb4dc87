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
    const known = this.#slots[slot];
    // A stream that is one chunk and a rest would take twice the memory that it needs.
    if (known === undefined || known.length < length) {
      this.#slots[slot] = allocateChunkData(this.#turn === 1 || length === CHUNK_BYTES ? CHUNK_BYTES : length);
    }
    return this.#slots[slot]!.subarray(0, length);
  }
}
