import { setTimeout as delay } from 'node:timers/promises';

/** What time means to a candidate; tests give their own. */
export interface LeaseClock {
  /** Milliseconds that never go back, and may stand still while the machine is suspended. */
  now(): number;
  /**
   * Milliseconds of a clock that goes on while the machine is suspended, and may be set. A holder counts by both clocks and
   * believes the one that says more, so that a machine that slept does not think its lease is fresh.
   */
  wall(): number;
  /** Resolves after so many milliseconds of {@link now}, or later; rejects when the signal aborts. */
  sleep(millis: number, signal: AbortSignal): Promise<void>;
}

export const SYSTEM_CLOCK: LeaseClock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  sleep: (millis, signal) => delay(millis, undefined, { signal }),
};
