import { ClaraError } from '../../../../base/errors';
import type { ObjectStore } from '../../../../fl-coordinator/storage/object-store';

/** What the trust room uses of an object store, in memory; the adapters themselves are the contract suite's business. */
export class MemoryStore {
  readonly #objects = new Map<string, Buffer>();

  get port(): ObjectStore {
    return this as unknown as ObjectStore;
  }

  async get(key: string): Promise<{ key: string; size: number; etag: string; bytes: AsyncIterable<Uint8Array> }> {
    const bytes = this.#objects.get(key);
    if (!bytes) throw new ClaraError('not-found', `${key} does not exist`);
    const stream = async function* () {
      yield bytes;
    };
    return { key, size: bytes.length, etag: bytes.toString('base64'), bytes: stream() };
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    this.#objects.set(key, Buffer.from(bytes));
  }

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<void> {
    // Like a real store, decides some time after it was asked.
    await new Promise(setImmediate);
    if (this.#objects.has(key)) throw new ClaraError('precondition-failed', `${key} exists`);
    this.#objects.set(key, Buffer.from(bytes));
  }

  async *list(prefix: string): AsyncGenerator<{ key: string; size: number }> {
    for (const key of [...this.#objects.keys()].filter((name) => name.startsWith(prefix)).sort()) {
      yield { key, size: this.#objects.get(key)?.length ?? 0 };
    }
  }

  async delete(key: string): Promise<void> {
    this.#objects.delete(key);
  }

  /** Everything that is in it, as text. */
  dump(): string {
    return [...this.#objects].map(([key, bytes]) => `${key} ${bytes}`).join('\n');
  }
}
