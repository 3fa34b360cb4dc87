import { create } from '@bufbuild/protobuf';
import { ClaraError } from '../base/errors';
import {
  type Task,
  TaskFailedSchema,
  type TaskResult,
  TaskResultSchema,
} from '../federation/gen/federation/v1/federation_pb';
import type { SiteConfiguration } from './configuration';
import type { TaskRecord } from './task-journal';

/** What the coordinator hears of a task that came to nothing. */
export function failedTask(
  { id }: Task,
  { code, message }: ClaraError,
  site: Pick<SiteConfiguration, 'dataset' | 'workspace'>,
): TaskResult {
  const value = create(TaskFailedSchema, { code, message: redacted(message, site) });
  return create(TaskResultSchema, { task: id, outcome: { case: 'failed', value } });
}

/** A message leaves the hospital: where its data lie is nobody's business. */
function redacted(message: string, { dataset, workspace }: Pick<SiteConfiguration, 'dataset' | 'workspace'>): string {
  const hidden = dataset.path === '' ? message : message.replaceAll(dataset.path, '<dataset>');
  return hidden.replaceAll(workspace, '<workspace>');
}

/** A trainer that an agent before this one left behind outlives SIGKILL. */
export function stillThere({ task, trainer }: TaskRecord): ClaraError {
  return new ClaraError(
    'unavailable',
    `the trainer of ${task.id} that an earlier agent left, process ${trainer?.pid}, does not end by SIGKILL; nothing begins until it is gone: look for a stuck device or file system, or restart the machine`,
  );
}
