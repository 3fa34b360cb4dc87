import { ClaraError } from '../../base/errors';
import { queueFull } from '../errors';

/** What is remembered of past durations, for the estimate in Retry-After: newest counts most. */
const SMOOTHING = 0.3;
const FIRST_GUESS_SECONDS = 5;
const MAX_RETRY_SECONDS = 600;
/** Kinds of tasks whose durations are remembered. */
const MAX_KINDS = 64;
/** A task that takes longer than its kind did so far is expected to need this share of that once more. */
const OVERDUE_SHARE = 0.25;

interface Waiting {
  readonly start: (slot: number) => void;
}

interface Running {
  readonly kind: string;
  readonly began: number;
}

/** Runs a few tasks at a time, in order of arrival; a bounded number may wait, the next one is refused. */
export class BoundedQueue {
  private readonly line: Waiting[] = [];
  private readonly running = new Map<number, Running>();
  /** What each slot ran last. */
  private readonly lastKinds: (string | undefined)[];
  private readonly meanSeconds = new Map<string, number>();

  /**
   * @param capacity how many may wait behind the running ones
   * @param slots how many run at one time
   */
  constructor(
    private readonly capacity: number,
    slots = 1,
  ) {
    this.lastKinds = Array.from({ length: slots }, () => undefined);
  }

  /** How many wait. */
  get waiting(): number {
    return this.line.length;
  }

  /** How many run. */
  get active(): number {
    return this.running.size;
  }

  /** True when a task that came now would have to wait. */
  get busy(): boolean {
    return this.running.size === this.lastKinds.length;
  }

  /** @throws AiaaError 503 when a task that came now would be refused */
  mustHaveRoom(): void {
    if (!this.busy || this.line.length < this.capacity) return;
    const seconds = Math.ceil(this.secondsToRoom());
    throw queueFull(this.line.length, Math.min(MAX_RETRY_SECONDS, Math.max(1, seconds)));
  }

  /**
   * Waits for its turn, then runs `task`. An aborted `signal` gives the place in the line free at once; once running, stopping
   * is up to the task.
   *
   * @param task is told its slot, 0 to slots - 1, which it has for itself
   * @param kind what tasks of similar duration share; of several free slots it gets one that ran the same kind last
   * @throws AiaaError 503 when the line is full; ClaraError by the reason of `signal`
   */
  async run<Result>(signal: AbortSignal, task: (slot: number) => Promise<Result>, kind = ''): Promise<Result> {
    if (signal.aborted) throw ClaraError.from(signal.reason);
    this.mustHaveRoom();
    const slot = this.busy ? await this.turn(signal) : this.freeSlot(kind);
    const began = performance.now();
    this.running.set(slot, { kind, began });
    this.lastKinds[slot] = kind;
    try {
      return await task(slot);
    } finally {
      if (!signal.aborted) this.remember(kind, (performance.now() - began) / 1000);
      const next = this.line.shift();
      if (next === undefined) this.running.delete(slot);
      else next.start(slot); // the slot stays taken: nobody can step in between
    }
  }

  private freeSlot(kind: string): number {
    const free = [...this.lastKinds.keys()].filter((slot) => !this.running.has(slot));
    return free.find((slot) => this.lastKinds[slot] === kind) ?? free[0];
  }

  private turn(signal: AbortSignal): Promise<number> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.line.splice(this.line.indexOf(waiting), 1);
        reject(ClaraError.from(signal.reason));
      };
      const waiting: Waiting = {
        start: (slot) => {
          signal.removeEventListener('abort', leave);
          resolve(slot);
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      this.line.push(waiting);
    });
  }

  /** Until the first of the running tasks ends, and a place in the line is free. */
  private secondsToRoom(): number {
    const now = performance.now();
    const left = [...this.running.values()].map(({ kind, began }) => {
      const mean = this.meanSeconds.get(kind) ?? FIRST_GUESS_SECONDS;
      return Math.max(mean - (now - began) / 1000, mean * OVERDUE_SHARE);
    });
    return Math.min(...left);
  }

  private remember(kind: string, seconds: number): void {
    const mean = this.meanSeconds.get(kind) ?? seconds;
    this.meanSeconds.delete(kind); // so that the oldest kind is first
    this.meanSeconds.set(kind, mean + SMOOTHING * (seconds - mean));
    if (this.meanSeconds.size > MAX_KINDS) this.meanSeconds.delete(this.meanSeconds.keys().next().value!);
  }
}
