import { type ProgressLine, progressLineSchema } from '../../federation/trainer-contract';
import { rateLimit } from './bounded-lines';
import type { TrainerWork } from './trainer';

/** Longer lines are cut. */
export const MAX_LINE_BYTES = 64 * 1024;
const MAX_LINES_PER_SECOND = 100;
/** What a trainer said last, as told to others: its last lines, shortened. */
const LAST_LINES = 3;
const LAST_WORDS_CHARACTERS = 600;

/** What a trainer prints, line by line: progress, log text, and its last words. */
export class TrainerOutput {
  readonly #lastLines: string[] = [];
  readonly #progressAllowed = rateLimit(MAX_LINES_PER_SECOND);
  readonly #logAllowed = rateLimit(MAX_LINES_PER_SECOND);

  constructor(private readonly listener: Pick<TrainerWork, 'onProgress' | 'onLog'>) {}

  /** The end of what was said on standard error; empty when nothing was. */
  get lastWords(): string {
    return this.#lastLines.join(' | ').slice(-LAST_WORDS_CHARACTERS);
  }

  outLine(line: string, overlong = false): void {
    if (!this.#isProgress(line, overlong)) this.#log(line);
  }

  errorLine(line: string): void {
    if (line.trim() !== '') this.#lastLines.push(line.trim());
    if (this.#lastLines.length > LAST_LINES) this.#lastLines.shift();
    this.#log(line);
  }

  /** A line of which it is not known where it was printed. */
  eitherLine(line: string): void {
    if (!this.#isProgress(line, false)) this.errorLine(line);
  }

  #isProgress(line: string, overlong: boolean): boolean {
    // The limit comes before the parsing, which is what a flood of lines would cost.
    const progress = !overlong && line.startsWith('{') && this.#progressAllowed() ? parseProgress(line) : undefined;
    if (progress) this.listener.onProgress?.(progress);
    return progress !== undefined;
  }

  #log(line: string): void {
    if (this.listener.onLog && this.#logAllowed()) this.listener.onLog(line);
  }
}

/** A line that is not JSON, or not of this form, is log text. */
export function parseProgress(line: string): ProgressLine | undefined {
  try {
    return progressLineSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
