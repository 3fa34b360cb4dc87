import { setTimeout as delay } from 'node:timers/promises';

/** What waiting depends on; tests give their own. */
export interface Pacing {
  /** Uniform in [0, 1). */
  random(): number;
  /** Resolves after so many milliseconds; rejects at once when the signal aborts. */
  wait(millis: number, signal: AbortSignal): Promise<void>;
}

export const REAL_PACING: Pacing = {
  random: Math.random,
  wait: (millis, signal) => delay(millis, undefined, { signal }),
};

export interface BackoffBounds {
  /** Upper bound of the first wait. @default 200 */
  readonly firstMillis?: number;
  /** Upper bound of every wait. @default 3000, so that a change of leaders is over within the liveness interval */
  readonly maxMillis?: number;
}

/**
 * The wait before attempt number `failures + 1`: uniform between 0 and a bound that doubles with each failure ("full
 * jitter", M. Brooker, AWS Architecture Blog, 2015), so that the sites of a restarted coordinator do not return together.
 */
export function backoffMillis(failures: number, random: () => number, bounds: BackoffBounds = {}): number {
  const { firstMillis = 200, maxMillis = 3000 } = bounds;
  return random() * Math.min(maxMillis, firstMillis * 2 ** Math.min(failures, 30));
}
