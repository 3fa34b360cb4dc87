import { ClaraError } from '../../base/errors';

/** What a check came to. A skipped check could not be judged because of an earlier one, or does not apply here. */
export type Outcome = 'ok' | 'warning' | 'failed' | 'skipped';

export interface Verdict {
  readonly outcome: Outcome;
  /** What was seen, in one sentence. Never the name of a case: people send these lines to each other. */
  readonly found: string;
  /** What to do about it; empty when there is nothing to do. */
  readonly mend: string;
}

export const ok = (found: string): Verdict => ({ outcome: 'ok', found, mend: '' });
export const warning = (found: string, mend: string): Verdict => ({ outcome: 'warning', found, mend });
export const failed = (found: string, mend: string): Verdict => ({ outcome: 'failed', found, mend });
export const skipped = (found: string): Verdict => ({ outcome: 'skipped', found, mend: '' });

/** The error's sentence as the finding of a failed check. */
export const failedBy = (thrown: unknown, mend: string): Verdict => failed(ClaraError.from(thrown).message, mend);

/**
 * Runs a check for so long at most: the signal aborts then, and a check that does not heed it is left behind. Never throws.
 * @param late what to do about a check that was not done in time
 */
export async function bounded(
  millis: number,
  late: string,
  check: (signal: AbortSignal) => Promise<Verdict>,
): Promise<Verdict> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const overdue = new Promise<Verdict>((resolve) => {
    timer = setTimeout(() => {
      controller.abort(new ClaraError('deadline-exceeded', 'the time of the check is over'));
      resolve(failed(`not done after ${millis / 1000} s`, late));
    }, millis);
  });
  const judged = check(controller.signal).catch((thrown: unknown) => {
    if (controller.signal.aborted) return overdue;
    return failedBy(thrown, 'the check does not know this failure; the sentence is all that is known');
  });
  return Promise.race([judged, overdue]).finally(() => clearTimeout(timer));
}
