import { ClaraError } from '../../base/errors';
import { queueFull } from '../errors';

/** What is remembered of past durations, for the estimate in Retry-After: newest counts most. */
const SMOOTHING = 0.3;
const FIRST_GUESS_SECONDS = 5;
const MAX_RETRY_SECONDS = 600;

interface Waiting {
  readonly start: () => void;
}

/** Runs one task at a time, in order of arrival; a bounded number may wait, the next one is refused. */
export class BoundedQueue {
  private readonly line: Waiting[] = [];
  private running = false;
  private meanSeconds = FIRST_GUESS_SECONDS;

  /** @param capacity how many may wait behind the running one */
  constructor(private readonly capacity: number) {}

  /** How many wait. */
  get waiting(): number {
    return this.line.length;
  }

  get busy(): boolean {
    return this.running;
  }

  /** @throws AiaaError 503 when a task that came now would be refused */
  mustHaveRoom(): void {
    if (!this.running || this.line.length < this.capacity) return;
    const seconds = Math.ceil(this.meanSeconds * (this.line.length + 1));
    throw queueFull(this.line.length, Math.min(MAX_RETRY_SECONDS, Math.max(1, seconds)));
  }

  /**
   * Waits for its turn, then runs `task`. An aborted `signal` gives the place in the line free at once; once running, stopping
   * is up to the task.
   *
   * @throws AiaaError 503 when the line is full; ClaraError by the reason of `signal`
   */
  async run<Result>(signal: AbortSignal, task: () => Promise<Result>): Promise<Result> {
    if (signal.aborted) throw ClaraError.from(signal.reason);
    this.mustHaveRoom();
    if (this.running) await this.turn(signal);
    this.running = true;
    const began = performance.now();
    try {
      return await task();
    } finally {
      const seconds = (performance.now() - began) / 1000;
      this.meanSeconds += SMOOTHING * (seconds - this.meanSeconds);
      const next = this.line.shift();
      if (next === undefined) this.running = false;
      else next.start(); // `running` stays true: nobody can step in between
    }
  }

  private turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.line.splice(this.line.indexOf(waiting), 1);
        reject(ClaraError.from(signal.reason));
      };
      const waiting: Waiting = {
        start: () => {
          signal.removeEventListener('abort', leave);
          resolve();
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      this.line.push(waiting);
    });
  }
}
