import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { ownProgram } from '../../base/own-program';
import { FAULT_POINT_VARIABLE } from '../../fl-coordinator/fault-points';
import type { StoreDescription } from './described-store';
import type { StoreAction } from './store-client';

/** Another process that has the store open and waits for the word to act. */
export class StoreProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #exit: Promise<unknown[]>;

  private constructor(description: StoreDescription, action: StoreAction, faultPoint: string) {
    const client = path.join(__dirname, 'store-client');
    const { command, args } = ownProgram(client, JSON.stringify(description), JSON.stringify(action));
    this.#child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, [FAULT_POINT_VARIABLE]: faultPoint },
    });
    this.#exit = once(this.#child, 'exit');
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** Settles when the process has the store open. */
  static async start(description: StoreDescription, action: StoreAction, faultPoint = ''): Promise<StoreProcess> {
    const started = new StoreProcess(description, action, faultPoint);
    if ((await started.line()) !== 'ready') throw new Error('the store process did not start');
    return started;
  }

  go(): void {
    this.#child.stdin.write('go\n');
  }

  async line(): Promise<string | undefined> {
    const { value, done } = await this.#lines.next();
    return done ? undefined : value;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exit;
  }

  /** `done`, the code of an error, or `killed`. */
  async outcome(): Promise<string> {
    const line = await this.line();
    const [, signal] = await this.#exit;
    return signal === 'SIGKILL' ? 'killed' : (line ?? 'nothing');
  }

  /** Starts, acts, ends. */
  static async run(description: StoreDescription, action: StoreAction, faultPoint = ''): Promise<string> {
    const started = await StoreProcess.start(description, action, faultPoint);
    started.go();
    return started.outcome();
  }
}
