import { ClaraError } from '../../base/errors';
import { TRAINER_EXIT } from '../../federation/trainer-contract';
import { backoffMillis, type Pacing } from '../backoff';
import { MAX_ENTRIES } from './resource-use';
import type { TrainerWork } from './trainer';

/** How one start of a trainer ended, in terms of what follows. */
export type AttemptEnd =
  | { readonly kind: 'done' }
  /** It asked to be started again later, or was taken away by what it ran on. */
  | { readonly kind: 'try-again'; readonly error: ClaraError }
  | { readonly kind: 'failed'; readonly error: ClaraError }
  /** Another start would change nothing. */
  | { readonly kind: 'over'; readonly error: ClaraError };

export interface AttemptOptions {
  readonly pacing: Pacing;
  /** How often a trainer may ask to be started again. @default 20 */
  readonly maxTryAgain?: number | undefined;
}

/** The first wait after exit 75 is up to 2 s, later ones up to 1 min: "try again" is about a passing lack of something. */
const TRY_AGAIN = { firstMillis: 2000, maxMillis: 60_000 };
/** Any other failure is retried once. */
const MAX_FAILURES = 2;

/** Starts a trainer as often as the contract says (docs/trainer-contract.md, exit codes). @throws the error of the last end */
export async function runAttempts(
  work: Pick<TrainerWork, 'deadline' | 'signal'>,
  { pacing, maxTryAgain = 20 }: AttemptOptions,
  attempt: () => Promise<AttemptEnd>,
): Promise<void> {
  let failures = 0;
  let tryAgain = 0;
  for (;;) {
    work.signal.throwIfAborted();
    const end = await attempt();
    if (end.kind === 'done') return;
    if (end.kind === 'over') throw end.error;
    if (end.kind === 'failed') {
      if (++failures >= MAX_FAILURES) throw end.error;
      continue;
    }
    if (++tryAgain > maxTryAgain) throw end.error;
    const millis = backoffMillis(tryAgain - 1, pacing.random, TRY_AGAIN);
    if (Date.now() + millis >= work.deadline()) throw end.error;
    await pacing.wait(millis, work.signal);
  }
}

/** What an exit code means. @param lastWords what was said last on standard error */
export function exitEnd(code: number, lastWords: string): AttemptEnd {
  if (code === TRAINER_EXIT.done) return { kind: 'done' };
  const message = `the trainer ended with exit code ${code}${saidLast(lastWords)}`;
  if (code === TRAINER_EXIT.badInput) return { kind: 'over', error: new ClaraError('invalid-input', message) };
  const error = new ClaraError('trainer-failed', message);
  return { kind: code === TRAINER_EXIT.tryAgain ? 'try-again' : 'failed', error };
}

export function saidLast(words: string): string {
  return words === '' ? ' and said nothing on standard error' : `, and said last: ${words}`;
}

/** What ends a trainer from outside, whatever it runs on. */
export type Stop =
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'deadline' }
  | { readonly kind: 'outside-hours' }
  | { readonly kind: 'over-quota'; readonly bytes: number };

export function stopError(stop: Stop, diskBytes: number): ClaraError {
  switch (stop.kind) {
    case 'cancelled':
      return new ClaraError('cancelled', 'the trainer was stopped because its task was cancelled');
    case 'outside-hours':
      return new ClaraError(
        'cancelled',
        'the trainer was stopped because the hours of the site are over (policy.hours)',
      );
    case 'deadline':
      return new ClaraError('deadline-exceeded', 'the trainer was stopped because the deadline of its task had passed');
    case 'over-quota': {
      const held = Number.isFinite(stop.bytes)
        ? `${stop.bytes} bytes, more than the ${diskBytes} of limits.diskBytes`
        : `more than ${MAX_ENTRIES} files and folders; keep what is cached in fewer and larger files`;
      return new ClaraError('resource-exhausted', `the trainer was stopped because its folder held ${held}`);
    }
  }
}
