import { ClaraError } from '../base/errors';
import { MAX_TIMER_MILLIS } from '../base/timers';

/** Aborts when the outer signal does, or when the time has come; setTimeout alone cannot wait longer than 24 days. */
export class DeadlineSignal {
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #passed = false;

  constructor(
    private time: number,
    private readonly outer: AbortSignal,
    private readonly now: () => number,
  ) {
    outer.addEventListener('abort', this.#onOuter);
    if (outer.aborted) this.#onOuter();
    this.#arm();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  reasonOr(error: ClaraError): ClaraError {
    if (!this.#passed) return error;
    return error.code === 'deadline-exceeded'
      ? error
      : new ClaraError('deadline-exceeded', 'the deadline of the task passed before it was done');
  }

  /** The time is another one. Has no effect once it has come. */
  moveTo(time: number): void {
    this.time = time;
    clearTimeout(this.#timer);
    if (!this.#passed) this.#arm();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.outer.removeEventListener('abort', this.#onOuter);
  }

  readonly #onOuter = (): void => this.#controller.abort(this.outer.reason);

  #arm(): void {
    const left = this.time - this.now();
    this.#timer = setTimeout(
      () => {
        if (this.time > this.now()) return this.#arm();
        this.#passed = true;
        this.#controller.abort(new ClaraError('deadline-exceeded', 'the deadline of the task has passed'));
      },
      Math.min(Math.max(left, 0), MAX_TIMER_MILLIS),
    );
  }
}
