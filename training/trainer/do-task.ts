import type { TrainerReport } from '../../federation/trainer-contract';
import { evaluate } from './evaluate';
import { initialise } from './initialise';
import type { Job } from './job';
import { parseParameters } from './parameters';
import { statistics } from './statistics';
import { TaskFolder } from './task-folder';
import { train } from './train';

/**
 * Does the task in a folder, as protocol 1 says, and leaves the report there.
 * @throws ClaraError; the signal's reason, after a checkpoint
 */
export async function doTask(root: string, around: Pick<Job, 'signal' | 'onProgress'>): Promise<void> {
  const folder = new TaskFolder(root);
  const task = await folder.readTask();
  const parameters = parseParameters(task);
  await folder.writeReport(await work({ ...around, parameters, folder, task }));
}

function work({ task, ...common }: Job): Promise<TrainerReport> {
  switch (task.kind) {
    case 'initialise':
      return initialise({ ...common, task });
    case 'train':
      return train({ ...common, task });
    case 'evaluate':
      return evaluate({ ...common, task });
    case 'statistics':
      return statistics({ ...common, task });
  }
}
