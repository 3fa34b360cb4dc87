import { MAX_TIMER_MILLIS } from '../../base/timers';

export interface RotationOptions<C extends { readonly ends: Date }> {
  /** The certificate in use. */
  readonly first: C;
  readonly issue: () => Promise<C>;
  /** Puts a new certificate to use. */
  readonly apply: (certificate: C) => void;
  readonly onFailure?: (thrown: unknown) => void;
  /** After a failure. @default 1 h */
  readonly retryMillis?: number;
  /** @default the system's clock */
  readonly now?: () => Date;
}

/**
 * Replaces a certificate (of a server, of the first operator) whenever two thirds of what was left of its life have passed,
 * so that a server may run for years. Does not keep the process alive. @returns what stops it
 */
export function keepRotating<C extends { readonly ends: Date }>(options: RotationOptions<C>): () => void {
  const { issue, apply, onFailure, retryMillis = 3_600_000, now = () => new Date() } = options;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const wait = (until: number): void => {
    if (stopped) return;
    const left = until - now().getTime();
    timer = setTimeout(() => (left > MAX_TIMER_MILLIS ? wait(until) : void rotate()), Math.min(left, MAX_TIMER_MILLIS));
    timer.unref();
  };
  const waitForTwoThirds = ({ ends }: C): void => {
    const start = now().getTime();
    wait(start + ((ends.getTime() - start) * 2) / 3);
  };
  const rotate = async (): Promise<void> => {
    try {
      const next = await issue();
      if (stopped) return;
      apply(next);
      waitForTwoThirds(next);
    } catch (error) {
      onFailure?.(error);
      wait(now().getTime() + retryMillis);
    }
  };

  waitForTwoThirds(options.first);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
