import { Writable } from 'node:stream';

/** The newest lines of the log, in memory: whoever asks `/logs/` needs no shell, and nothing is left on a disk. */
export class RecentLog extends Writable {
  private readonly lines: string[] = [];

  /** @param capacity how many lines are remembered */
  constructor(private readonly capacity: number) {
    super({ decodeStrings: false, defaultEncoding: 'utf8' });
  }

  /** @param count at most so many, newest last */
  newest(count: number): readonly string[] {
    return this.lines.slice(-count);
  }

  override _write(text: string | Buffer, _encoding: BufferEncoding, done: () => void): void {
    for (const line of String(text).split('\n')) if (line !== '') this.lines.push(line);
    if (this.lines.length > this.capacity) this.lines.splice(0, this.lines.length - this.capacity);
    done();
  }
}
