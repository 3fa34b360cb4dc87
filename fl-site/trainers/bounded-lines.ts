/**
 * Cuts a byte stream into lines without ever holding more than `maxBytes` of one: the rest of a longer line is dropped, and
 * what was kept is marked. A trainer that writes gigabytes without a line break costs nothing but the reading.
 */
export class BoundedLines {
  #kept: Buffer[] = [];
  #length = 0;
  #overlong = false;

  constructor(
    private readonly maxBytes: number,
    private readonly onLine: (line: string, overlong: boolean) => void,
  ) {}

  push(bytes: Buffer): void {
    let begin = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, begin)) {
      this.#keep(bytes.subarray(begin, end));
      this.#emit();
      begin = end + 1;
    }
    this.#keep(bytes.subarray(begin));
  }

  /** The stream has ended: what follows the last line break is a line too. */
  end(): void {
    if (this.#length > 0) this.#emit();
  }

  #keep(bytes: Buffer): void {
    const room = this.maxBytes - this.#length;
    if (bytes.length > room) this.#overlong = true;
    // Copied, since a few bytes must not keep a whole read buffer alive.
    const part = Buffer.from(bytes.subarray(0, room));
    if (part.length === 0) return;
    this.#kept.push(part);
    this.#length += part.length;
  }

  #emit(): void {
    const line = Buffer.concat(this.#kept).toString('utf8').replace(/\r$/, '');
    const overlong = this.#overlong;
    this.#kept = [];
    this.#length = 0;
    this.#overlong = false;
    this.onLine(line, overlong);
  }
}

/** Lets `perSecond` calls through in each second and drops the others. */
export function rateLimit(perSecond: number, now: () => number = Date.now): () => boolean {
  let second = Number.NEGATIVE_INFINITY;
  let used = 0;
  return () => {
    const time = now();
    if (time - second >= 1000) {
      second = time;
      used = 0;
    }
    return used++ < perSecond;
  };
}
