/** Values that come when they come, for one who takes them one by one. */
export class Inbox<Value> implements AsyncIterable<Value> {
  readonly #values: Value[] = [];
  #wake: (() => void) | undefined;
  #end: { readonly error?: unknown } | undefined;

  put(value: Value): void {
    if (this.#end) return;
    this.#values.push(value);
    this.#wake?.();
  }

  /** No more values come; those that are here are still taken. */
  end(): void {
    this.#end ??= {};
    this.#wake?.();
  }

  /** Whoever takes learns of the error, after the values that are here. */
  fail(error: unknown): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  /** @returns undefined at the end; @throws what {@link fail} was given */
  async take(): Promise<Value | undefined> {
    while (this.#values.length === 0 && !this.#end) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    if (this.#values.length > 0) return this.#values.shift();
    if (this.#end && 'error' in this.#end) throw this.#end.error;
    return undefined;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Value> {
    for (let value = await this.take(); value !== undefined; value = await this.take()) yield value;
  }
}
