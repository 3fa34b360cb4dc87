/** Lets so many at a time through, in the order in which they came. */
export class Gate {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /** @returns to be called when the place is free again @throws the signal's reason when it has aborted meanwhile */
  async enter(signal: AbortSignal): Promise<() => void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const leave = (): void => {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    };
    if (!signal.aborted) return leave;
    leave();
    throw signal.reason;
  }

  async through<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    const leave = await this.enter(signal);
    try {
      return await work();
    } finally {
      leave();
    }
  }
}
