import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { ClaraError, hasCode } from '../base/errors';
import { type ProgressLine, TASK_FILE } from '../federation/trainer-contract';
import type { Trainer, TrainerWork } from '../fl-site/trainers/trainer';
import type { Gate } from './gate';
import { mayCorrupt, mayDrop, maySlow, type Trouble } from './site-trouble';

/** Does the task in a folder, as protocol 1 says, inside of this thread. */
export type DoTask = (folder: string, signal: AbortSignal, onProgress: (line: ProgressLine) => void) => Promise<void>;

/** What is looked at of a task here; the trainer itself reads all of it. */
const glance = z.object({
  kind: z.string(),
  round: z.number(),
  model: z.object({ input: z.string().optional(), output: z.string() }).optional(),
});

export interface SimulatedTrainerOptions {
  readonly site: string;
  readonly doTask: DoTask;
  readonly trouble: Trouble;
  /** Lets some sites of the thread train at a time. */
  readonly gate: Gate;
}

/** The agent's trainer port on a function instead of a process, with the trouble that was asked for. */
export class SimulatedTrainer implements Trainer {
  constructor(private readonly options: SimulatedTrainerOptions) {}

  async run({ folder, signal, onProgress = () => {} }: TrainerWork): Promise<void> {
    const { site, doTask, trouble, gate } = this.options;
    const { kind, round, model } = glance.parse(JSON.parse(readFileSync(path.join(folder, TASK_FILE), 'utf8')));
    if (kind === 'train') {
      mayDrop(trouble, round, site);
      await maySlow(trouble, site, signal);
    }
    try {
      await gate.through(signal, () => doTask(folder, signal, onProgress));
    } catch (thrown) {
      signal.throwIfAborted();
      throw asOfAProcess(thrown);
    }
    if (kind !== 'train' || !model?.input) return;
    const [from, update] = [model.input, model.output].map((name) => path.join(folder, name));
    await mayCorrupt(trouble, { site, round, model: from!, update: update! });
  }
}

/** A process would say what is wrong with its input by its exit code; everything else is its failure. */
function asOfAProcess(thrown: unknown): ClaraError {
  const error = ClaraError.from(thrown);
  const { message, faults } = error;
  return hasCode(error, 'invalid-input', 'unsupported', 'not-found', 'corrupt')
    ? new ClaraError('invalid-input', message, { cause: error, faults })
    : new ClaraError('trainer-failed', `the trainer failed: ${message}`, { cause: error });
}
