import { ClaraError, type ErrorCode, hasCode } from '../base/errors';
import { backoffMillis, type Pacing } from './backoff';

/** Failures that another attempt may mend: the network, a coordinator that restarts, damage on the way. */
const PASSING: readonly ErrorCode[] = [
  'unavailable',
  'deadline-exceeded',
  'resource-exhausted',
  'corrupt',
  'internal',
  'cancelled',
];
/** Damage that comes again and again is not an accident of the way. */
const MAX_DAMAGED = 5;

export interface AttemptOptions {
  readonly signal: AbortSignal;
  readonly pacing: Pacing;
}

export interface TransferOptions extends AttemptOptions {
  /** Failures of the other end that pass too. */
  readonly alsoPassing?: readonly ErrorCode[];
}

/**
 * Repeats a resumable transfer with jittered waits until it succeeds, the signal aborts (the task's deadline) or a failure
 * comes that no repetition mends. An attempt that moved bytes starts the count of failures afresh.
 *
 * @param attempt resolves when the transfer is complete; calls `moved` whenever bytes have become safe
 */
export async function untilTransferred<Result>(
  attempt: (moved: () => void) => Promise<Result>,
  { signal, pacing, alsoPassing = [] }: TransferOptions,
): Promise<Result> {
  let failures = 0;
  let damaged = 0;
  for (;;) {
    signal.throwIfAborted();
    try {
      return await attempt(() => {
        failures = 0;
      });
    } catch (thrown) {
      signal.throwIfAborted();
      const error = ClaraError.from(thrown);
      if (!hasCode(error, ...PASSING, ...alsoPassing)) throw error;
      if (error.code === 'corrupt' && ++damaged >= MAX_DAMAGED) throw error;
      await pacing.wait(backoffMillis(failures++, pacing.random), signal);
    }
  }
}
