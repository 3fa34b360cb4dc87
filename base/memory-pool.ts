/**
 * Memory outside of V8's heap, used again. V8 counts it as if it were old objects and marks its whole heap every 64 MiB of
 * it: fresh memory for each piece of a file makes the garbage collector the costliest part of reading it.
 */
export class MemoryPool {
  readonly #free: Buffer[] = [];

  /** @param kept pieces that wait to be used again at most */
  constructor(
    readonly pieceBytes: number,
    private readonly kept: number,
  ) {}

  /** Not cleared. Whoever takes it gives it back, or leaves it to the garbage collector. */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.pieceBytes);
  }

  /** Nobody may touch it after this. */
  giveBack(piece: Buffer): void {
    if (this.#free.length < this.kept) this.#free.push(piece);
  }
}
