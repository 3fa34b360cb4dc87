import type { Secret } from '../../../../fl-coordinator/trust/secret';

/** A secret in memory. Like a real one it decides some time after it was asked. */
export class MemorySecret implements Secret {
  readonly name = 'arn:of:a:secret';
  /** Every value that it had, oldest first. */
  readonly values: string[] = [];
  /** What it answers with from now on, instead of doing anything. */
  failure: Error | undefined;
  /** So many reads after the first value still find none, as elsewhere in a cloud. */
  lateBy = 0;

  get value(): string | undefined {
    return this.values.at(-1);
  }

  async read(): Promise<string | undefined> {
    await this.#asked();
    if (this.value !== undefined && this.lateBy > 0) {
      this.lateBy -= 1;
      return undefined;
    }
    return this.value;
  }

  async putFirst(text: string): Promise<boolean> {
    await this.#asked();
    if (this.values.length > 0) return false;
    this.values.push(text);
    return true;
  }

  async put(text: string): Promise<void> {
    await this.#asked();
    this.values.push(text);
  }

  async #asked(): Promise<void> {
    await new Promise(setImmediate);
    if (this.failure) throw this.failure;
  }
}
