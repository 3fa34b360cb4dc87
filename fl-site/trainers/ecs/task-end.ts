import type { Task } from '@aws-sdk/client-ecs';
import { ClaraError } from '../../../base/errors';
import { type AttemptEnd, exitEnd } from '../attempts';
import { withoutArns } from './aws-requests';

/** What is read of a task. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html */
export type EcsTask = Pick<Task, 'lastStatus' | 'stopCode' | 'stoppedReason' | 'containers' | 'startedBy'>;

/** What the machine under a task did; the trainer did nothing wrong. */
const TAKEN_AWAY = new Set(['SpotInterruption', 'TerminationNotice', 'InfrastructureHealth']);
const HOST_GONE = /\b(?:host ec2|instance)\b.*\b(?:terminated|stopped|disconnected)\b/i;
const QUOTA = /vcpulimit|quota|limit ?exceeded|maximum number/i;
const CAPACITY = /capacity|resource:|no container instances|insufficient/i;

export const QUOTA_MEND =
  'the account has a quota for this kind of instance that is used up or zero: ask AWS to raise "Running On-Demand G and VT instances" (or P)';
export const CAPACITY_MEND =
  'AWS has no such instance free now: give the group more zones or another GPU family, or try later';

/** How a task that has stopped by itself ended. @param lastWords what the container printed last */
export function endOfTask(task: EcsTask, container: string, lastWords: string): AttemptEnd {
  const trainer = task.containers?.find(({ name }) => name === container);
  const reasons = [trainer?.reason, task.stoppedReason].filter((text): text is string => !!text).map(withoutArns);
  const why = reasons.join('; ').slice(0, 500) || 'ECS gives no reason';
  if (TAKEN_AWAY.has(task.stopCode ?? '') || HOST_GONE.test(why)) {
    return { kind: 'try-again', error: new ClaraError('unavailable', `the trainer's machine was taken away: ${why}`) };
  }
  const failed = (message: string): AttemptEnd => ({
    kind: 'failed',
    error: new ClaraError('trainer-failed', message),
  });
  if (trainer?.exitCode === undefined) return neverRan(why, failed);
  if (/outofmemory/i.test(why)) {
    return failed(
      `the trainer used more memory than its task definition gives it (${why}); give it more, or train on smaller patches`,
    );
  }
  return exitEnd(trainer.exitCode, lastWords);
}

function neverRan(why: string, failed: (message: string) => AttemptEnd): AttemptEnd {
  if (QUOTA.test(why)) {
    return {
      kind: 'over',
      error: new ClaraError('resource-exhausted', `the trainer got no machine: ${why}; ${QUOTA_MEND}`),
    };
  }
  if (/cannotpull/i.test(why)) {
    return failed(
      `the image of the trainer cannot be fetched (${why}); check that it exists and that the execution role may pull it`,
    );
  }
  if (/resourceinitialization/i.test(why)) {
    return failed(
      `what the trainer's task needs could not be set up (${why}); check its mounts, secrets, log group and network`,
    );
  }
  if (CAPACITY.test(why)) {
    return {
      kind: 'try-again',
      error: new ClaraError('unavailable', `the trainer got no machine: ${why}; ${CAPACITY_MEND}`),
    };
  }
  return failed(`the trainer's task ended before the trainer ran: ${why}`);
}
