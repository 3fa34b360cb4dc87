import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import {
  REPORT_FILE,
  STATE_FOLDER,
  TASK_FILE,
  type TrainerReport,
  type TrainerTask,
  trainerTaskSchema,
} from '../../federation/trainer-contract';
import type { DecathlonDataset } from '../../imaging/decathlon';
import { openSiteDataset } from './labelled-scan';

/** The folder that a task is given in: what to do, what to start from, where answers go. */
export class TaskFolder {
  constructor(readonly root: string) {}

  /** A file that the task names. */
  file(inner: string): string {
    return path.join(this.root, inner);
  }

  /** What stays at this site between the rounds of a run. */
  state(inner: string): string {
    return path.join(this.root, STATE_FOLDER, inner);
  }

  /** @throws ClaraError not-found, or invalid-input that lists every fault */
  async readTask(): Promise<TrainerTask> {
    const file = this.file(TASK_FILE);
    let json: unknown;
    try {
      json = JSON.parse(await readFile(file, 'utf8'));
    } catch (error) {
      if (error instanceof SyntaxError) throw new ClaraError('invalid-input', `${file} is no JSON: ${error.message}`);
      throw ClaraError.from(error, `reading ${file}`);
    }
    const task = trainerTaskSchema.safeParse(json);
    if (!task.success) throw ClaraError.ofFaults(file, faultsOf(task.error, json));
    return task.data;
  }

  async writeReport(report: TrainerReport): Promise<void> {
    await writeFileDurably(this.file(REPORT_FILE), `${JSON.stringify(report, null, 2)}\n`);
  }
}

/** @throws ClaraError invalid-input when the task comes without a dataset; all that {@link openSiteDataset} throws */
export async function openDataset({ kind, dataset }: TrainerTask): Promise<DecathlonDataset> {
  if (dataset.kind === 'none') {
    throw new ClaraError(
      'invalid-input',
      `a task of kind "${kind}" needs data: name a dataset in the site's configuration`,
    );
  }
  return openSiteDataset(dataset.path);
}
