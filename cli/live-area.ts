/** A block of lines at the end of a terminal that is drawn over itself (ECMA-48 cursor control). */
export class LiveArea {
  #lines = 0;

  constructor(private readonly out: NodeJS.WriteStream) {}

  draw(text: string): void {
    const width = this.out.columns ?? 80;
    const lines = text.split('\n').map((line) => line.slice(0, width - 1));
    this.#erase();
    this.out.write(`${lines.join('\n')}\n`);
    this.#lines = lines.length;
  }

  /** Prints lines that stay, above the block. */
  print(text: string): void {
    this.#erase();
    this.#lines = 0;
    this.out.write(`${text}\n`);
  }

  /** Leaves what is drawn and goes on below it. */
  close(): void {
    this.#lines = 0;
  }

  #erase(): void {
    if (this.#lines > 0) this.out.write(`\u001b[${this.#lines}A\u001b[0J`);
  }
}
