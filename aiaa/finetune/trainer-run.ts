import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { ClaraError } from '../../base/errors';
import type { ProgramStart } from '../../base/own-program';
import { signalGroup } from '../../base/process-identity';
import {
  type ProgressLine,
  progressLineSchema,
  TASK_FOLDER_VARIABLE,
  TRAINER_EXIT,
} from '../../federation/trainer-contract';
import { markWorking } from '../storage/scratch';

export interface TrainerRun {
  readonly program: ProgramStart;
  /** The task's folder, ready; protocol 1 of docs/trainer-contract.md. */
  readonly folder: string;
  readonly signal: AbortSignal;
  /** From SIGTERM to SIGKILL. */
  readonly graceMs: number;
  readonly onProgress: (line: ProgressLine) => void;
}

const LAST_WORDS = 2000;

/**
 * Runs a trainer on a folder, once.
 *
 * @throws ClaraError `invalid-input` when it refuses its input, `trainer-failed`, `out-of-space` and the like when its folder cannot be
 *   written; by the reason of `signal`, when the trainer has ended
 */
export async function runTrainer({ program, folder, signal, graceMs, onProgress }: TrainerRun): Promise<void> {
  const temporary = path.join(folder, 'tmp');
  await mkdir(temporary);
  const { PATH = '/usr/local/bin:/usr/bin:/bin', HOME = '', LANG = 'C.UTF-8' } = process.env;
  const child = spawn(program.command, [...program.args, folder], {
    cwd: folder,
    env: { PATH, HOME, LANG, TMPDIR: temporary, [TASK_FOLDER_VARIABLE]: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a group of its own, which ends as a whole
  });
  const closed = once(child, 'close') as Promise<[code: number | null, killedBy: NodeJS.Signals | null]>;
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-LAST_WORDS);
  });
  createInterface({ input: child.stdout }).on('line', (line) => tellProgress(line, onProgress));
  let killer: NodeJS.Timeout | undefined;
  const signalAll = (name: NodeJS.Signals) => {
    if (child.pid !== undefined) signalGroup(child.pid, name);
  };
  const stop = () => {
    signalAll('SIGTERM');
    killer = setTimeout(() => signalAll('SIGKILL'), graceMs);
  };
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    if (child.pid !== undefined) await noteOrEnd(folder, child.pid, closed);
    const [code, killedBy] = await closed;
    if (signal.aborted) throw ClaraError.from(signal.reason);
    if (code !== TRAINER_EXIT.done) throw failure(code, killedBy, words.trim());
  } catch (error) {
    if (error instanceof ClaraError) throw error;
    throw new ClaraError('trainer-failed', `the trainer could not be started: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    clearTimeout(killer);
    signal.removeEventListener('abort', stop);
    signalAll('SIGKILL'); // what it left running
  }
}

/** A trainer of which no later server could know may not run. */
async function noteOrEnd(folder: string, pid: number, closed: Promise<unknown>): Promise<void> {
  try {
    markWorking(folder, pid);
  } catch (error) {
    signalGroup(pid, 'SIGKILL');
    await closed;
    throw ClaraError.from(error, 'the trainer was ended, since the note of it could not be written');
  }
}

function tellProgress(line: string, onProgress: TrainerRun['onProgress']): void {
  if (!line.startsWith('{')) return;
  try {
    const parsed = progressLineSchema.safeParse(JSON.parse(line));
    if (parsed.success) onProgress(parsed.data);
  } catch {
    // A line for people.
  }
}

function failure(code: number | null, killedBy: NodeJS.Signals | null, words: string): ClaraError {
  const said = words === '' ? '' : `, and said last: ${words}`;
  if (code === TRAINER_EXIT.badInput) return new ClaraError('invalid-input', `the trainer refuses its input${said}`);
  return new ClaraError(
    'trainer-failed',
    `the trainer ended ${killedBy ? `by ${killedBy}` : `with exit code ${code}`}${said}`,
  );
}
