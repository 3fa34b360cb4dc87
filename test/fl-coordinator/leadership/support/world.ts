import { ClaraError } from '../../../../base/errors';
import type { LeaseClock } from '../../../../fl-coordinator/leadership/clock';
import type { ObjectStore } from '../../../../fl-coordinator/storage/object-store';

/**
 * Real time that a test moves: everything that waits is an event at an instant, and the next one happens when all that
 * followed from the one before has happened. Machines have clocks of their own, with any reading and a rate near 1.
 */
export class World {
  now = 0;
  readonly #events: { readonly at: number; readonly order: number; readonly happen: () => void }[] = [];
  #order = 0;
  /** Called after every event. */
  onEvent: () => void = () => {};

  at(instant: number, happen: () => void): void {
    this.#events.push({ at: Math.max(instant, this.now), order: this.#order++, happen });
  }

  after(millis: number): Promise<void> {
    return new Promise((resolve) => this.at(this.now + millis, resolve));
  }

  /** Lets everything happen until that instant. */
  async runUntil(end: number): Promise<void> {
    for (;;) {
      await settled();
      this.#events.sort((a, b) => a.at - b.at || a.order - b.order);
      const next = this.#events[0];
      if (!next || next.at > end) break;
      this.#events.shift();
      this.now = next.at;
      next.happen();
      await settled();
      this.onEvent();
    }
    this.now = end;
  }
}

/** Every microtask that follows from what happened has run. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export interface MachineOptions {
  readonly rate: number;
  readonly offset: number;
  /** Real milliseconds that the next thing takes: a request on its way, an answer, waking up late. */
  readonly delay: () => number;
}

/** One machine: a clock, and a line to the store with a delay in each direction. While it is paused it does nothing. */
export class Machine implements LeaseClock {
  #pausedUntil = 0;
  #dead = false;

  constructor(
    private readonly world: World,
    private readonly options: MachineOptions,
  ) {}

  now(): number {
    return this.options.offset + this.world.now * this.options.rate;
  }

  wall(): number {
    return this.now();
  }

  async sleep(millis: number, signal: AbortSignal): Promise<void> {
    let giveUp = (): void => {};
    const aborted = new Promise<void>((resolve) => {
      giveUp = resolve;
      signal.addEventListener('abort', giveUp, { once: true });
      if (signal.aborted) resolve();
    });
    await Promise.race([aborted, this.world.after(millis / this.options.rate + this.options.delay())]);
    signal.removeEventListener('abort', giveUp);
    await this.#running();
    signal.throwIfAborted();
  }

  /** Stops everything on the machine for so long, as SIGSTOP does; its clock goes on. */
  pause(millis: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.world.now + millis);
  }

  kill(): void {
    this.#dead = true;
  }

  /** The store as it is reached from here. Each request takes effect at one instant between its two delays. */
  reach(store: ObjectStore): ObjectStore {
    const remote = <Args extends unknown[], Result>(call: (...args: Args) => Promise<Result>) => {
      return async (...args: Args): Promise<Result> => {
        await this.#running();
        await this.world.after(this.options.delay());
        const result = await call(...args).then(
          (value) => ({ value }),
          (error: unknown) => ({ error }),
        );
        await this.world.after(this.options.delay());
        await this.#running();
        if ('error' in result) throw result.error;
        return result.value;
      };
    };
    return {
      ...store,
      get: remote((...args) => store.get(...args)),
      putIfAbsent: remote((...args) => store.putIfAbsent(...args)),
      putIfMatch: remote((...args) => store.putIfMatch(...args)),
    };
  }

  async #running(): Promise<void> {
    if (this.#dead) await new Promise(() => {});
    while (this.world.now < this.#pausedUntil) await this.world.after(this.#pausedUntil - this.world.now);
    if (this.#dead) await new Promise(() => {});
  }
}

/** Small objects with conditional writes. */
export function memoryObjects(): ObjectStore {
  const objects = new Map<string, { bytes: Buffer; etag: string }>();
  let versions = 0;
  const write = (key: string, bytes: Uint8Array) => {
    const etag = `v${++versions}`;
    objects.set(key, { bytes: Buffer.from(bytes), etag });
    return { size: bytes.length, etag };
  };
  const store: Partial<ObjectStore> = {
    get: async (key) => {
      const found = objects.get(key);
      if (!found) throw new ClaraError('not-found', `there is no object ${key}`);
      const { bytes, etag } = found;
      return {
        size: bytes.length,
        etag,
        bytes: (async function* () {
          yield bytes;
        })(),
      };
    },
    putIfAbsent: async (key, bytes) => {
      if (objects.has(key)) throw new ClaraError('precondition-failed', `${key} exists`);
      return write(key, bytes);
    },
    putIfMatch: async (key, bytes, etag) => {
      if (objects.get(key)?.etag !== etag) throw new ClaraError('precondition-failed', `${key} was changed`);
      return write(key, bytes);
    },
  };
  return store as ObjectStore;
}
