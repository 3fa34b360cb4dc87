import type { DeadlineSignal } from './deadline-signal';
import type { TaskRecord } from './task-journal';

/** A task of this agent: what is on disk of it, and what goes on with it right now. */
export interface OpenTask {
  readonly record: TaskRecord;
  readonly abort: AbortController;
  /** False for a task found on disk that the coordinator has not asked for again. */
  wanted: boolean;
  /** This site's own limit on the task. Milliseconds since 1970. */
  latest: number;
  /** Of the task while it is worked on. */
  deadline: DeadlineSignal | undefined;
  /** Resolves when nothing works on the task any more. */
  working: Promise<void> | undefined;
  /** It waits for the site's hours, and nothing works on it. */
  held: boolean;
  /** While the result is told again. */
  telling: Promise<void> | undefined;
}

/** One that nothing works on yet. */
export function openTask(record: TaskRecord): OpenTask {
  return {
    record,
    abort: new AbortController(),
    wanted: false,
    latest: Number.POSITIVE_INFINITY,
    deadline: undefined,
    working: undefined,
    held: false,
    telling: undefined,
  };
}
