import type { Metrics, TrainerTask } from '../../federation/trainer-contract';
import type { TrainerParameters } from './parameters';
import type { TaskFolder } from './task-folder';

/** What every kind of task is given to work with. */
export interface Job<Task extends TrainerTask = TrainerTask> {
  readonly task: Task;
  readonly parameters: TrainerParameters;
  readonly folder: TaskFolder;
  /** Fires when the program is asked to stop. */
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

export interface Progress {
  /** Finished share, 0..1. */
  readonly progress: number;
  readonly step?: number;
  readonly metrics?: Metrics;
}
