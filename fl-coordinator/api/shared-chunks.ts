import { crc32 } from '@node-rs/crc32';
import { allocateChunkData, CHUNK_BYTES } from '../../federation/chunk-codec';
import type { ObjectStore } from '../storage/object-store';

/** A whole chunk of an object; the last may be shorter. */
export interface SharedChunk {
  readonly data: Buffer;
  /** Of `data`, once `read` is over. */
  crc32: number;
  /** Over when the data are there; fails as the store did. */
  readonly read: Promise<void>;
}

interface Entry extends SharedChunk {
  readonly memory: Buffer;
  /** Downloads that have taken it and may still be sending it. */
  holders: number;
  /** False once no other download can take it any more. */
  isOffered: boolean;
}

/** What is downloaded. Of two copies of a model one may be damaged, in its length too: each is shared by itself. */
export interface SharedObject {
  readonly key: string;
  /** `sha256:<hex>`, as it is announced. */
  readonly digest: string;
  /** Bytes that are there. */
  readonly size: number;
}

/** Chunks that are offered at most: downloads that are further apart than this read for themselves. */
const OFFERED = 16;

/**
 * The sites of a cohort download the same model at about the same time: what one of them has had read, the others take from
 * here. It is read from the store once, and checked and enveloped once. Memory of chunks that all have sent is used again:
 * fresh memory for each would make the garbage collector the costliest part of a transfer.
 *
 * Everything is forgotten when the last download of an object ends, so that one that begins again after damage reads again.
 */
export class SharedChunks {
  static readonly #inUse = new WeakMap<ObjectStore, Map<string, SharedChunks>>();
  readonly #offered = new Map<number, Entry>();
  readonly #free: Buffer[] = [];
  #downloads = 0;

  private constructor(private readonly forget: () => void) {}

  /** Joins the downloads of this object of the store, until it is disposed of. */
  static of(store: ObjectStore, { key, digest, size }: SharedObject): SharedChunks {
    const inUse = SharedChunks.#inUse.get(store) ?? new Map<string, SharedChunks>();
    SharedChunks.#inUse.set(store, inUse);
    const name = `${key} ${digest} ${size}`;
    const shared = inUse.get(name) ?? new SharedChunks(() => inUse.delete(name));
    inUse.set(name, shared);
    shared.#downloads++;
    return shared;
  }

  [Symbol.dispose](): void {
    if (--this.#downloads === 0) this.forget();
  }

  /**
   * The chunk at a multiple of CHUNK_BYTES, at most that long. Nobody may write to its data. It belongs to its takers until
   * each has given it back; one that cannot tell when it was sent keeps it, and its memory is collected in the end.
   */
  take(position: number, length: number, readInto: (data: Buffer) => Promise<void>): SharedChunk {
    const found = this.#offered.get(position);
    if (found) {
      found.holders++;
      return found;
    }
    const memory = this.#free.pop() ?? allocateChunkData(CHUNK_BYTES);
    const data = memory.subarray(0, length);
    const read = readInto(data).then(
      () => {
        entry.crc32 = crc32(data);
      },
      (error: unknown) => {
        this.#withdraw(position, entry);
        throw error;
      },
    );
    const entry: Entry = { memory, data, crc32: 0, read, holders: 1, isOffered: true };
    this.#offered.set(position, entry);
    for (const [oldest, of] of this.#offered) if (this.#offered.size > OFFERED) this.#withdraw(oldest, of);
    return entry;
  }

  giveBack(chunk: SharedChunk): void {
    const entry = chunk as Entry;
    entry.holders--;
    this.#reuse(entry);
  }

  #withdraw(position: number, entry: Entry): void {
    if (this.#offered.get(position) === entry) this.#offered.delete(position);
    entry.isOffered = false;
    this.#reuse(entry);
  }

  #reuse({ memory, holders, isOffered }: Entry): void {
    if (holders === 0 && !isOffered) this.#free.push(memory);
  }
}
