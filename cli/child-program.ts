import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { ClaraError } from '../base/errors';
import { PACKAGE_ROOT, SERVICE_FLAGS } from '../base/own-program';

/** A record that a program printed with `--json`. */
export type ProgramRecord = Readonly<Record<string, unknown>> & { readonly event?: string };

const STOP_GRACE_MILLIS = 20_000;
const STDERR_KEPT = 4000;

/**
 * A `clara-fed` service as a process of its own, the very command that a person would start. Its stdin stays open as a
 * lifeline: when this process ends, however it ends, the service sees the end of its stdin and stops.
 */
export class ChildProgram {
  readonly #process: ChildProcess;
  #stderr = '';
  #expectedToEnd = false;

  private constructor(
    readonly name: string,
    args: readonly string[],
    onRecord: (record: ProgramRecord) => void,
  ) {
    const program = path.join(PACKAGE_ROOT, 'bin', 'clara-fed');
    this.#process = spawn(process.execPath, [...SERVICE_FLAGS, program, ...args, '--json', '--parent-pipe'], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // Its own group: Ctrl-C reaches only the demo, which then ends its children in order.
      detached: true,
    });
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
    createInterface({ input: this.#process.stdout! }).on('line', (line) => {
      const record = parseRecord(line);
      if (record) onRecord(record);
    });
    this.#process.stdin!.on('error', () => undefined);
  }

  /**
   * Starts the program and waits for its first `ready` record.
   * @throws ClaraError with the program's own sentence when it ends before that
   */
  static async start(options: {
    readonly name: string;
    readonly args: readonly string[];
    readonly signal: AbortSignal;
    readonly onRecord?: (record: ProgramRecord) => void;
    /** The program ended although nobody asked it to. */
    readonly onUnexpectedEnd: (error: ClaraError) => void;
  }): Promise<{ readonly program: ChildProgram; readonly ready: ProgramRecord }> {
    const { name, args, signal, onRecord, onUnexpectedEnd } = options;
    let isReady = false;
    let resolveReady: (record: ProgramRecord) => void;
    let rejectReady: (error: unknown) => void;
    const ready = new Promise<ProgramRecord>((resolve, reject) => {
      resolveReady = resolve;
      rejectReady = reject;
    });
    const program = new ChildProgram(name, args, (record) => {
      if (record.event === 'ready' && !isReady) {
        isReady = true;
        resolveReady(record);
      }
      onRecord?.(record);
    });
    program.#process.once('exit', (code, endedBy) => {
      const error = program.#endError(code, endedBy);
      if (!isReady) rejectReady(error);
      else if (!program.#expectedToEnd) onUnexpectedEnd(error);
    });
    program.#process.once('error', (error) => rejectReady(ClaraError.from(error, `${name} could not be started`)));
    const abort = (): void => rejectReady(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      return { program, ready: await ready };
    } catch (error) {
      await program.stop();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Asks the program to end and waits until it has; after a grace period it is killed. */
  async stop(): Promise<void> {
    this.#expectedToEnd = true;
    if (this.#process.exitCode !== null || this.#process.signalCode !== null || this.#process.pid === undefined) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    const killer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_GRACE_MILLIS);
    await ended;
    clearTimeout(killer);
  }

  /** Ends the program at once, as a power cut would. */
  async kill(): Promise<void> {
    this.#expectedToEnd = true;
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }

  #endError(code: number | null, endedBy: NodeJS.Signals | null): ClaraError {
    const said = lastSentence(this.#stderr);
    const how = endedBy ? `was ended by ${endedBy}` : `ended with exit code ${code}`;
    return new ClaraError('unavailable', `the ${this.name} ${how}${said ? `: ${said}` : ''}`);
  }
}

function parseRecord(line: string): ProgramRecord | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as ProgramRecord) : undefined;
  } catch {
    return undefined;
  }
}

/** The message of the last line, which is a JSON record when the program runs with `--json`. */
function lastSentence(stderr: string): string {
  const last = stderr.trim().split('\n').at(-1) ?? '';
  const message = parseRecord(last)?.message;
  return typeof message === 'string' ? message : last;
}
