import { setTimeout as delay } from 'node:timers/promises';
import { throwIfAborted } from '../file-errors';
import { s3Error, s3FaultOf } from './s3-errors';

export interface RetryPolicy {
  /** How often a request is tried in all. @default 7 */
  readonly attempts: number;
  /** The first pause is up to so long, and each later one up to twice as long. @default 100 */
  readonly firstPauseMillis: number;
  /** @default 10 s */
  readonly longestPauseMillis: number;
  /** An answer that lets nothing come for so long is given up. @default 30 s */
  readonly stallMillis: number;
}

export const DEFAULT_RETRIES: RetryPolicy = {
  attempts: 7,
  firstPauseMillis: 100,
  longestPauseMillis: 10_000,
  stallMillis: 30_000,
};

export interface AttemptOptions<Result> {
  readonly signal?: AbortSignal | undefined;
  /**
   * Asked when an attempt was refused after an earlier one whose answer was lost: answers what the earlier one would have,
   * when it did happen.
   */
  readonly settle?: () => Promise<Result | undefined>;
}

/**
 * Requests to S3, tried again with full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 * The SDK's own retries are off: it would try a conditional write again whose answer was lost, and hand its caller the
 * refusal of the second attempt.
 */
export class S3Requests {
  constructor(private readonly policy: RetryPolicy) {}

  async attempt<Result>(
    what: string,
    request: (options: { readonly abortSignal?: AbortSignal }) => Promise<Result>,
    { signal, settle }: AttemptOptions<Result> = {},
  ): Promise<Result> {
    for (let attempt = 1; ; attempt++) {
      throwIfAborted(signal, what);
      try {
        return await request(signal ? { abortSignal: signal } : {});
      } catch (thrown) {
        throwIfAborted(signal, what);
        const { passing } = s3FaultOf(thrown);
        if (passing && attempt < this.policy.attempts) {
          await this.pause(attempt, signal);
          continue;
        }
        const happened = attempt > 1 && !passing ? await settle?.() : undefined;
        if (happened !== undefined) return happened;
        throw s3Error(thrown, what);
      }
    }
  }

  /** Waits before the attempt after `attempt`. */
  async pause(attempt: number, signal?: AbortSignal): Promise<void> {
    const { firstPauseMillis, longestPauseMillis } = this.policy;
    const bound = Math.min(longestPauseMillis, firstPauseMillis * 2 ** (attempt - 1));
    await delay(Math.random() * bound, undefined, signal ? { signal } : {}).catch(() => undefined);
  }

  get attempts(): number {
    return this.policy.attempts;
  }

  /** Fails with a passing fault when `next` brings nothing for too long. */
  async unstalled<Result>(next: Promise<Result>): Promise<Result> {
    const { stallMillis } = this.policy;
    let timer: NodeJS.Timeout | undefined;
    const stall = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(Object.assign(new Error(`nothing came for ${stallMillis} ms`), { name: 'TimeoutError' }));
      }, stallMillis);
    });
    try {
      return await Promise.race([next, stall]);
    } finally {
      clearTimeout(timer);
    }
  }
}
