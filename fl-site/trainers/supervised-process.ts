import { type ChildProcess, spawn } from 'node:child_process';
import type { ProgramStart } from '../../base/own-program';
import { identityOf, type ProcessIdentity, signalGroup } from '../../base/process-identity';
import { MAX_TIMER_MILLIS } from '../../base/timers';
import type { Stop } from './attempts';
import { BoundedLines } from './bounded-lines';
import { folderBytes, peakRssOfTree } from './resource-use';
import type { TrainerWork } from './trainer';
import { MAX_LINE_BYTES, TrainerOutput } from './trainer-output';

export interface ProcessWork extends Omit<TrainerWork, 'onStarted' | 'onWaiting'> {
  readonly onStarted?: (process: ProcessIdentity) => Promise<void>;
  readonly program: ProgramStart;
  readonly environment: Readonly<Record<string, string>>;
  readonly graceMillis: number;
  readonly pollMillis: number;
}

/** Why a process is gone. Whatever stopped it first is the reason, however it then ended. */
export type ProcessEnd =
  | { readonly kind: 'exited'; readonly code: number; readonly lastWords: string }
  | { readonly kind: 'killed'; readonly signal: NodeJS.Signals; readonly lastWords: string }
  | { readonly kind: 'not-started'; readonly reason: string }
  | Stop;

/** How long output is waited for when the process is gone but something it started holds its pipes. */
const PIPES_MILLIS = 1000;
/**
 * Runs a process in a group of its own and watches it: output, deadline, cancellation, disk use, memory. When it ends,
 * whatever it left running in its group is ended too.
 */
export async function superviseProcess(work: ProcessWork): Promise<ProcessEnd> {
  const child = spawn(work.program.command, work.program.args, {
    cwd: work.folder,
    env: work.environment,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = endOf(child);
  const { pid } = child;
  if (pid === undefined) return ended.then((end) => ({ kind: 'not-started', reason: startFailure(work, end) }));

  const output = readOutput(child, work);
  const stop = new Stopper(pid, work.graceMillis);
  const onAbort = () => stop.politely({ kind: 'cancelled' });
  work.signal.addEventListener('abort', onAbort);
  if (work.signal.aborted) onAbort();
  const deadline = atTime(work.deadline, () => stop.politely({ kind: 'deadline' }));
  const watching = watch(pid, work, stop, ended);
  // A trainer whose disk use cannot be watched may not run; the reason is thrown below.
  watching.catch(() => signalGroup(pid, 'SIGKILL'));
  try {
    await work.onStarted?.(identityOf(pid));
    const end = await ended;
    if (stop.reason) return stop.reason;
    const { lastWords } = output;
    if (end.kind === 'signal') return { kind: 'killed', signal: end.signal, lastWords };
    return { kind: 'exited', code: end.kind === 'code' ? end.code : 1, lastWords };
  } finally {
    clearTimeout(deadline.timer);
    work.signal.removeEventListener('abort', onAbort);
    // Also when this function fails before the process has ended.
    signalGroup(pid, 'SIGKILL');
    await ended;
    stop.over();
    await watching;
  }
}

type RawEnd =
  | { readonly kind: 'code'; readonly code: number }
  | { readonly kind: 'signal'; readonly signal: NodeJS.Signals }
  | { readonly kind: 'error'; readonly error: Error };

/** Resolves when the process is gone and its output has been read. */
function endOf(child: ChildProcess): Promise<RawEnd> {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      if (child.pid === undefined) resolve({ kind: 'error', error });
    });
    child.once('exit', (code, signal) => {
      const end: RawEnd = signal ? { kind: 'signal', signal } : { kind: 'code', code: code ?? 1 };
      // Its children in the group hold the pipes and would keep them open.
      if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
      const pipes = setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, PIPES_MILLIS);
      child.once('close', () => {
        clearTimeout(pipes);
        resolve(end);
      });
    });
  });
}

function startFailure({ program, folder }: ProcessWork, end: RawEnd): string {
  const why = end.kind === 'error' ? end.error.message : 'unknown reason';
  return `the trainer ${JSON.stringify(program.command)} could not be started in ${folder}: ${why}`;
}

/** @returns what the process has said so far */
function readOutput(child: ChildProcess, work: ProcessWork): TrainerOutput {
  const output = new TrainerOutput(work);
  const stdout = new BoundedLines(MAX_LINE_BYTES, (line, overlong) => output.outLine(line, overlong));
  const stderr = new BoundedLines(MAX_LINE_BYTES, (line) => output.errorLine(line));
  child.stdout?.on('data', (bytes: Buffer) => stdout.push(bytes)).on('end', () => stdout.end());
  child.stderr?.on('data', (bytes: Buffer) => stderr.push(bytes)).on('end', () => stderr.end());
  return output;
}

class Stopper {
  reason: Stop | undefined;
  #force: NodeJS.Timeout | undefined;

  constructor(
    private readonly pid: number,
    private readonly graceMillis: number,
  ) {}

  politely(reason: Stop): void {
    if (this.reason) return;
    this.reason = reason;
    signalGroup(this.pid, 'SIGTERM');
    this.#force = setTimeout(() => signalGroup(this.pid, 'SIGKILL'), this.graceMillis);
  }

  atOnce(reason: Stop): void {
    this.reason ??= reason;
    signalGroup(this.pid, 'SIGKILL');
  }

  over(): void {
    clearTimeout(this.#force);
  }
}

/** Looks at disk use and memory at once and then again and again while the process runs. */
async function watch(pid: number, work: ProcessWork, stop: Stopper, ended: Promise<unknown>): Promise<void> {
  let running = true;
  let wake = (): void => undefined;
  void ended.then(() => {
    running = false;
    wake();
  });
  while (running) {
    const bytes = await folderBytes(work.folder, work.uncounted);
    if (bytes > work.diskBytes && running) stop.atOnce({ kind: 'over-quota', bytes });
    work.onPeakRss?.(await peakRssOfTree(pid));
    if (!running) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, work.pollMillis);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** The time may move while it is waited for; one that has come nearer is looked at by whoever moved it. */
function atTime(time: () => number, action: () => void): { timer: NodeJS.Timeout | undefined } {
  const holder: { timer: NodeJS.Timeout | undefined } = { timer: undefined };
  const arm = () => {
    const left = time() - Date.now();
    // setTimeout may wake a moment early, and cannot wait longer than 2^31 - 1 ms.
    holder.timer = setTimeout(
      () => (time() > Date.now() ? arm() : action()),
      Math.min(Math.max(left, 0), MAX_TIMER_MILLIS),
    );
  };
  arm();
  return holder;
}
