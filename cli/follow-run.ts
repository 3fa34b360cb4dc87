import { setTimeout as delay } from 'node:timers/promises';
import { ClaraError, hasCode } from '../base/errors';
import { LIVENESS_MILLIS } from '../federation/channel';
import type { RunView } from '../federation/gen/federation/v1/federation_pb';
import { received } from '../federation/stream-flow';
import { asOperator, type OperationsClient, type OperatorOptions } from './operator';
import { isOver } from './run-table';

/** How long a coordinator that was heard before is waited for; another one leads sooner than that. */
const PATIENCE_MILLIS = 2 * LIVENESS_MILLIS;
const PAUSE_MILLIS = 250;

/** Work with a coordinator that restarts or hands over meanwhile. */
export interface Patiently {
  readonly signal: AbortSignal;
  /** Asked when the coordinator cannot be reached: whether to wait for it. @default true */
  readonly isKnown?: () => boolean;
}

/**
 * Does `work` again while the coordinator is away, until it has been away for too long; `heard` says that it is there.
 * @throws ClaraError what the work throws, `cancelled` as soon as the signal aborts
 */
export async function patiently<T>(
  operator: OperatorOptions,
  { signal, isKnown = () => true }: Patiently,
  work: (client: OperationsClient, heard: () => void) => Promise<T>,
): Promise<T> {
  let failingSince: number | undefined;
  const heard = (): void => {
    failingSince = undefined;
  };
  let stop = (): void => undefined;
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(new ClaraError('cancelled', 'interrupted'));
  });
  // Nobody may be waiting for it any more when it happens.
  stopped.catch(() => undefined);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop);
  try {
    for (;;) {
      try {
        return await Promise.race([asOperator(operator, (client) => work(client, heard)), stopped]);
      } catch (error) {
        failingSince ??= performance.now();
        const isPassing = hasCode(error, 'unavailable') && isKnown();
        if (!isPassing || performance.now() - failingSince > PATIENCE_MILLIS) throw error;
        await Promise.race([delay(PAUSE_MILLIS), stopped]);
      }
    }
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

export interface FollowOptions {
  readonly signal: AbortSignal;
  /** The coordinator was heard before: it is waited for from the beginning. @default false */
  readonly wasHeard?: boolean;
  readonly onChange: (view: RunView) => void;
}

/**
 * Tells every change of a run until it ends, through restarts of the coordinator and changes of leaders.
 * @returns the last view, whatever the run's end
 * @throws ClaraError `cancelled` as soon as the signal aborts
 */
export async function followRun(
  run: string,
  operator: OperatorOptions,
  { signal, wasHeard = false, onChange }: FollowOptions,
): Promise<RunView> {
  let last: RunView | undefined;
  await patiently(operator, { signal, isKnown: () => wasHeard || last !== undefined }, async (client, heard) => {
    for await (const view of received(client.watchRun({ run }, { signal }))) {
      last = view;
      heard();
      onChange(view);
    }
    if (!last || !isOver(last)) {
      throw new ClaraError('unavailable', `the coordinator stopped telling of run ${run} before its end`);
    }
  });
  return last!;
}
