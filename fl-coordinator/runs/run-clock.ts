import { steadyNow } from '../../base/steady-clock';
import type { RunState } from './run-state';

/**
 * The time of a run. Deadlines are in its journal and outlive the process, so they are times of day, but nobody's setting of a
 * clock may end a round or keep it open: within a process time is steady, and after a restart it goes on from the last event at
 * the earliest. A clock that was set forward while the coordinator was down looks like a coordinator that was down for as long.
 * @param since of the last event, ISO 8601
 */
export function runClock(since: string, now: () => Date = steadyTime): () => Date {
  const behind = Math.max(Date.parse(since) - now().getTime(), 0);
  return () => new Date(now().getTime() + behind);
}

export function steadyTime(): Date {
  return new Date(steadyNow());
}

/**
 * Milliseconds from the submission of the run to the given time, pauses not counted: neither those that have ended nor the one
 * that goes on.
 * @param at milliseconds since 1970, not before the newest event
 */
export function runningMillis(
  { submittedAt, paused, pausedMillis }: Pick<RunState, 'submittedAt' | 'paused' | 'pausedMillis'>,
  at: number,
): number {
  const stoodStillAt = paused ? Date.parse(paused.at) : at;
  return Math.min(at, stoodStillAt) - Date.parse(submittedAt) - pausedMillis;
}
