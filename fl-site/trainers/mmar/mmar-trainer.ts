import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { writeFileDurably } from '../../../base/durable-file';
import { exists } from '../../../base/exists';
import type { ProgramStart } from '../../../base/own-program';
import type { MmarSettings } from '../../trainer-configuration';
import { EcsTrainer, type EcsTrainerOptions } from '../ecs/ecs-trainer';
import type { Trainer, TrainerWork } from '../trainer';

/** The program between an MMAR and the trainer contract, in the language that images of Clara Train bring. */
const MAIN = 'clara_mmar_trainer.py';
const FILES = [MAIN, 'mmar_files.py', 'mmar_layout.py', 'mmar_process.py', 'torch_checkpoint.py'];

/** The trainer of an MMAR on this machine. */
export function mmarProgram(mmar: MmarSettings): ProgramStart {
  const [command, ...args] = commandOf(mmar, __dirname);
  return { command: command!, args };
}

export interface MmarInContainerOptions extends Omit<EcsTrainerOptions, 'trainer'> {
  readonly trainer: Omit<EcsTrainerOptions['trainer'], 'command'> & { readonly mmar: MmarSettings };
}

/**
 * Trains an MMAR in a container of the site's cluster, of an image that knows nothing of this platform: the program that speaks the
 * trainer contract lies in the workspace, which both see.
 */
export class MmarInContainer implements Trainer {
  readonly #inner: EcsTrainer;
  readonly #workspace: string;
  readonly #sources = FILES.map((name) => ({ name, text: readFileSync(path.join(__dirname, name)) }));
  readonly #folder: string;

  constructor({ trainer, ...options }: MmarInContainerOptions) {
    const { mmar, ecs } = trainer;
    const digest = createHash('sha256');
    for (const { text } of this.#sources) digest.update(text);
    // Named by its content: tasks of an earlier day may still run theirs.
    this.#folder = path.posix.join('trainers', `clara-mmar-${digest.digest('hex').slice(0, 12)}`);
    this.#workspace = options.workspace;
    const command = commandOf(mmar, path.posix.join(ecs.workspace ?? options.workspace, this.#folder));
    this.#inner = new EcsTrainer({ ...options, trainer: { ...trainer, command } });
  }

  async run(work: TrainerWork): Promise<void> {
    for (const { name, text } of this.#sources) {
      const file = path.join(this.#workspace, this.#folder, name);
      if (!(await exists(file))) await writeFileDurably(file, text);
    }
    return this.#inner.run(work);
  }

  abandon(folder: string): Promise<void> {
    return this.#inner.abandon(folder);
  }
}

/** The task folder is appended. */
function commandOf({ folder, launch, python, set, allow }: MmarSettings, programs: string): string[] {
  return [
    ...[python, '-B', '-u', path.posix.join(programs, MAIN)],
    ...['--mmar', folder, '--launch', launch, '--python', python],
    ...Object.entries(set).flatMap(([name, value]) => ['--set', `${name}=${pythonText(value)}`]),
    ...allow.flatMap((name) => ['--allow', name]),
  ];
}

/** As Clara's own scripts write them. */
function pythonText(value: string | number | boolean): string {
  return typeof value === 'boolean' ? (value ? 'True' : 'False') : String(value);
}
