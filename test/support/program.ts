import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';

export const CLARA_FED = path.resolve(__dirname, '../../bin/clara-fed');

/** A record that a program printed with `--json`. */
export type ProgramRecord = Readonly<Record<string, unknown>> & { readonly event?: string };

export interface ProgramEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  /** Added to this process's own; undefined takes a variable away. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** What is started instead of the checkout's `clara-fed`, with `environment` and nothing of this process's own. */
  readonly elsewhere?: { readonly command: string; readonly cwd: string; readonly user?: number };
}

/** Short of what mocha gives a test: then it is said what was waited for. */
const WAIT_MILLIS = 100_000;

/** `clara-fed` as a process of its own, started as a person would, with what it prints. */
export class Program {
  readonly records: ProgramRecord[] = [];
  /** Resolves when the process has ended and all that it printed has been read. */
  readonly ended: Promise<ProgramEnd>;
  readonly #process: ChildProcess;
  readonly #waiting = new Set<() => void>();
  #stdout = '';
  #stderr = '';
  #isOver = false;

  constructor(
    readonly args: readonly string[],
    { environment = {}, elsewhere }: ProgramOptions = {},
  ) {
    const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe'];
    this.#process = elsewhere
      ? spawn(elsewhere.command, args, {
          stdio,
          env: { ...environment },
          cwd: elsewhere.cwd,
          ...(elsewhere.user !== undefined && { uid: elsewhere.user, gid: elsewhere.user }),
        })
      : spawn(process.execPath, [CLARA_FED, ...args], { stdio, env: { ...process.env, ...environment } });
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    createInterface({ input: this.#process.stdout! }).on('line', (line) => this.#read(line));
    this.ended = new Promise((resolve, reject) => {
      this.#process.once('error', reject);
      this.#process.once('close', (code, signal) => {
        this.#isOver = true;
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
        this.#wake();
      });
    });
  }

  get pid(): number {
    return this.#process.pid!;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Ends the process politely and waits for its end. */
  async stop(): Promise<ProgramEnd> {
    if (!this.#isOver) this.kill('SIGTERM');
    return this.ended;
  }

  /** The first record, printed already or from now on, that `find` answers for. @throws Error when the program ends first */
  async record(find: (record: ProgramRecord) => boolean, what: string): Promise<ProgramRecord> {
    const end = performance.now() + WAIT_MILLIS;
    for (;;) {
      const found = this.records.find(find);
      if (found) return found;
      if (this.#isOver) {
        const { code, signal } = await this.ended;
        const said = `${this.#stdout.slice(-2000)}${this.#stderr}`;
        throw new Error(`clara-fed ${this.args.join(' ')} ended (${signal ?? code}) before ${what}: ${said}`);
      }
      const left = end - performance.now();
      if (left <= 0) throw new Error(`clara-fed ${this.args.join(' ')}: waited in vain for ${what}: ${this.#stderr}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(wake, left);
        const waiting = this.#waiting;
        function wake(): void {
          clearTimeout(timer);
          waiting.delete(wake);
          resolve();
        }
        waiting.add(wake);
      });
    }
  }

  #read(line: string): void {
    this.#stdout += `${line}\n`;
    try {
      const record: unknown = JSON.parse(line);
      if (typeof record === 'object' && record !== null) this.records.push(record as ProgramRecord);
    } catch {
      return; // A line for people.
    }
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}
