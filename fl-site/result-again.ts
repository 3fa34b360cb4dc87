import { ClaraError, type ErrorCode, hasCode } from '../base/errors';
import type { Task, TaskResult } from '../federation/gen/federation/v1/federation_pb';
import type { OpenTask } from './open-task';
import { type Surroundings, sendUpdate } from './task-execution';

/** The coordinator does not want the update any more. */
const UNWANTED: readonly ErrorCode[] = ['precondition-failed', 'not-found', 'permission-denied'];

export interface TellingOptions extends Pick<Surroundings, 'workspace' | 'client' | 'pacing'> {
  readonly onResult: (task: Task, result: TaskResult, again: boolean) => void;
  readonly onUnwanted: (task: Task) => void;
  readonly onProblem: (error: ClaraError) => void;
}

/**
 * Tells the result of a task once more. A coordinator that has restarted knows of an update only what is durable, so it is
 * asked, and sent what it lacks, before it hears the result. `open.telling` says until when that goes on; meanwhile, and for a
 * task without a result, nothing is done.
 */
export function tellAgain(open: OpenTask, options: TellingOptions): void {
  const { record, abort } = open;
  const { task, result, outbound } = record;
  if (!result || open.telling || abort.signal.aborted) return;
  const tell = async (): Promise<void> => {
    try {
      if (outbound && result.outcome.case === 'done') {
        await sendUpdate(record, { ...options, onProgress: () => undefined }, abort.signal);
      }
      if (!abort.signal.aborted) options.onResult(task, result, true);
    } catch (thrown) {
      if (abort.signal.aborted) return;
      const error = ClaraError.from(thrown);
      if (hasCode(error, ...UNWANTED)) options.onUnwanted(task);
      else options.onProblem(error);
    }
  };
  open.telling = tell().finally(() => {
    open.telling = undefined;
  });
}
