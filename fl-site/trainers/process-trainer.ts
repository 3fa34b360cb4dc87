import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { ClaraError } from '../../base/errors';
import type { ProgramStart } from '../../base/own-program';
import { TRAINER_EXIT } from '../../federation/trainer-contract';
import { backoffMillis, type Pacing, REAL_PACING } from '../backoff';
import { type ProcessEnd, superviseProcess } from './supervised-process';
import type { Trainer, TrainerWork } from './trainer';
import { type EnvironmentOptions, trainerEnvironment } from './trainer-environment';

export interface ProcessTrainerOptions extends EnvironmentOptions {
  readonly program: ProgramStart;
  /** From SIGTERM to SIGKILL. @default 30 000, as the contract says */
  readonly graceMillis?: number;
  /** How often disk use and memory are looked at. @default 500 */
  readonly pollMillis?: number;
  /** How often a trainer may ask to be started again (exit 75). @default 20 */
  readonly maxTryAgain?: number;
  readonly pacing?: Pacing;
}

/** Folder for temporary files inside the task folder: it goes when the task goes, and counts against the quota. */
export const TEMPORARY_FOLDER = 'tmp';

/** The first wait after exit 75 is up to 2 s, later ones up to 1 min: "try again" is about a passing lack of something. */
const TRY_AGAIN = { firstMillis: 2000, maxMillis: 60_000 };
/** Any other failure is retried once. */
const MAX_FAILURES = 2;

/** Runs a command, in any language, on a task folder: the contract of docs/trainer-contract.md. */
export class ProcessTrainer implements Trainer {
  constructor(private readonly options: ProcessTrainerOptions) {}

  async run(work: TrainerWork): Promise<void> {
    const { pacing = REAL_PACING, maxTryAgain = 20 } = this.options;
    let failures = 0;
    let tryAgain = 0;
    for (;;) {
      work.signal.throwIfAborted();
      const end = await this.#runOnce(work);
      if (end.kind === 'exited' && end.code === TRAINER_EXIT.done) return;
      const error = errorOf(end, work);
      if (end.kind !== 'exited' && end.kind !== 'killed') throw error;
      if (end.kind === 'exited' && end.code === TRAINER_EXIT.badInput) throw error;
      if (end.kind === 'exited' && end.code === TRAINER_EXIT.tryAgain) {
        if (++tryAgain > maxTryAgain) throw error;
        await this.#waitToTryAgain(pacing, tryAgain, work, error);
      } else if (++failures >= MAX_FAILURES) throw error;
    }
  }

  async #waitToTryAgain(pacing: Pacing, count: number, work: TrainerWork, error: ClaraError): Promise<void> {
    const millis = backoffMillis(count - 1, pacing.random, TRY_AGAIN);
    if (Date.now() + millis >= work.deadline()) throw error;
    await pacing.wait(millis, work.signal);
  }

  async #runOnce(work: TrainerWork): Promise<ProcessEnd> {
    const { program, graceMillis = 30_000, pollMillis = 500 } = this.options;
    const temporary = path.join(work.folder, TEMPORARY_FOLDER);
    await mkdir(temporary, { recursive: true });
    return superviseProcess({
      ...work,
      program: { command: program.command, args: [...program.args, work.folder] },
      environment: trainerEnvironment(work.folder, temporary, this.options),
      graceMillis,
      pollMillis,
    });
  }
}

function errorOf(end: ProcessEnd, work: TrainerWork): ClaraError {
  switch (end.kind) {
    case 'not-started':
      return new ClaraError('trainer-failed', `${end.reason}; check trainer.command in the site's configuration`);
    case 'cancelled':
      return new ClaraError('cancelled', 'the trainer was stopped because its task was cancelled');
    case 'deadline':
      return new ClaraError('deadline-exceeded', 'the trainer was stopped because the deadline of its task had passed');
    case 'over-quota':
      return new ClaraError(
        'resource-exhausted',
        `the trainer was stopped because its folder held ${end.bytes} bytes, more than the ${work.diskBytes} of limits.diskBytes`,
      );
    case 'killed':
      return new ClaraError('trainer-failed', `the trainer was ended by ${end.signal}${saidLast(end.lastWords)}`);
    case 'exited': {
      const code = end.code === TRAINER_EXIT.badInput ? 'invalid-input' : 'trainer-failed';
      return new ClaraError(code, `the trainer ended with exit code ${end.code}${saidLast(end.lastWords)}`);
    }
  }
}

function saidLast(words: string): string {
  return words === '' ? ' and said nothing on standard error' : `, and said last: ${words}`;
}
