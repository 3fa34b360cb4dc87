/**
 * Places where a test may kill this process, as a power cut would: the environment variable `CLARA_FED_FAULT_POINT` names
 * one, as `name` or `name:3` for the third time that it is passed; `name:3:stop` stops the process there until somebody
 * continues it. In production a pass costs one comparison of strings.
 */

export const FAULT_POINTS = [
  'journal.before-append',
  'journal.after-append',
  'upload.after-chunk',
  'upload.before-complete',
  'upload.after-complete',
  'upload.after-decode',
  // The directory adapter of the object store, in the order of a write.
  'store.partial-half-written',
  'store.partial-written',
  'store.before-link',
  'store.locked',
  'store.committed',
  'store.upload-synced',
  'store.upload-recorded',
  'store.upload-committed',
  'aggregate.after-scan',
  'aggregate.after-block',
  'aggregate.before-finish',
  'aggregate.after-finish',
  'enrol.token-spent',
  'authority.made',
  'authority.kept',
  'operator.added',
  'model-upload.half-written',
] as const;

export type FaultPoint = (typeof FAULT_POINTS)[number];

export const FAULT_POINT_VARIABLE = 'CLARA_FED_FAULT_POINT';

const [armed, times, action] = (process.env[FAULT_POINT_VARIABLE] ?? '').split(':');
let passesLeft = Number(times ?? 1);

/** Dies here by SIGKILL, or stands still by SIGSTOP, neither of which can be caught, when a test armed this point. */
export function faultPoint(name: FaultPoint): void {
  if (name === armed && --passesLeft === 0) process.kill(process.pid, action === 'stop' ? 'SIGSTOP' : 'SIGKILL');
}
