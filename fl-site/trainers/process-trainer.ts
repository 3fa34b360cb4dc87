import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { mkdir } from '../../base/files';
import type { ProgramStart } from '../../base/own-program';
import { type Pacing, REAL_PACING } from '../backoff';
import { type AttemptEnd, exitEnd, runAttempts, saidLast, stopError } from './attempts';
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

/** Runs a command, in any language, on a task folder: the contract of docs/trainer-contract.md. */
export class ProcessTrainer implements Trainer {
  constructor(private readonly options: ProcessTrainerOptions) {}

  run(work: TrainerWork): Promise<void> {
    const { pacing = REAL_PACING, maxTryAgain } = this.options;
    return runAttempts(work, { pacing, maxTryAgain }, async () => attemptEnd(await this.#runOnce(work), work));
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

function attemptEnd(end: ProcessEnd, { diskBytes }: TrainerWork): AttemptEnd {
  switch (end.kind) {
    case 'not-started': {
      const message = `${end.reason}; check trainer.command in the site's configuration`;
      return { kind: 'over', error: new ClaraError('trainer-failed', message) };
    }
    case 'killed': {
      const message = `the trainer was ended by ${end.signal}${saidLast(end.lastWords)}`;
      return { kind: 'failed', error: new ClaraError('trainer-failed', message) };
    }
    case 'exited':
      return exitEnd(end.code, end.lastWords);
    default:
      return { kind: 'over', error: stopError(end, diskBytes) };
  }
}
