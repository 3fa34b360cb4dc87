import { type ChildProcess, spawn } from 'node:child_process';
import type { ProgramStart } from '../../base/own-program';
import { MAX_TIMER_MILLIS } from '../../base/timers';
import { type ProgressLine, progressLineSchema } from '../../federation/trainer-contract';
import { BoundedLines, rateLimit } from './bounded-lines';
import { identityOf, signalGroup } from './process-identity';
import { folderBytes, peakRssOfTree } from './resource-use';
import type { TrainerWork } from './trainer';

export interface ProcessWork extends TrainerWork {
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
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'deadline' }
  | { readonly kind: 'over-quota'; readonly bytes: number };

type Stop = Extract<ProcessEnd, { kind: 'cancelled' | 'deadline' | 'over-quota' }>;

const MAX_LINE_BYTES = 64 * 1024;
const MAX_LINES_PER_SECOND = 100;
/** Standard error as told to others: its last lines, shortened. */
const LAST_LINES = 3;
const LAST_WORDS_CHARACTERS = 600;
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

  const lastLines = readOutput(child, work);
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
    const lastWords = lastLines.join(' | ').slice(-LAST_WORDS_CHARACTERS);
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

/** @returns the last lines of standard error, kept up to date */
function readOutput(child: ChildProcess, { onProgress, onLog }: ProcessWork): string[] {
  const lastLines: string[] = [];
  const progressAllowed = rateLimit(MAX_LINES_PER_SECOND);
  const logAllowed = rateLimit(MAX_LINES_PER_SECOND);
  const log = (line: string) => {
    if (onLog && logAllowed()) onLog(line);
  };
  const stdout = new BoundedLines(MAX_LINE_BYTES, (line, overlong) => {
    // The limit comes before the parsing, which is what a flood of lines would cost.
    const progress = !overlong && line.startsWith('{') && progressAllowed() ? parseProgress(line) : undefined;
    if (progress) onProgress?.(progress);
    else log(line);
  });
  const stderr = new BoundedLines(MAX_LINE_BYTES, (line) => {
    if (line.trim() !== '') lastLines.push(line.trim());
    if (lastLines.length > LAST_LINES) lastLines.shift();
    log(line);
  });
  child.stdout?.on('data', (bytes: Buffer) => stdout.push(bytes)).on('end', () => stdout.end());
  child.stderr?.on('data', (bytes: Buffer) => stderr.push(bytes)).on('end', () => stderr.end());
  return lastLines;
}

/** A line that is not JSON, or not of this form, is log text. */
export function parseProgress(line: string): ProgressLine | undefined {
  try {
    return progressLineSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
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
