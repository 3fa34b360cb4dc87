import { ClaraError } from '../../base/errors';

export interface RateLimits {
  /** What is limited, for the sentence of a refusal. @default 'try to enrol' */
  readonly what?: string;
  /** The time that the limits below are about, in minutes. @default 1 */
  readonly minutes?: number;
  /** Requests of one address in that time; as many at once. @default 10 */
  readonly perAddress?: number;
  /** Requests in total in that time; as many at once. @default 120 */
  readonly total?: number;
  /** Addresses that are remembered; the one silent for longest is forgotten first. @default 10,000 */
  readonly addresses?: number;
  /** Milliseconds; never runs backwards. @default performance.now */
  readonly clock?: () => number;
}

interface Bucket {
  tokens: number;
  at: number;
}

/**
 * Token buckets per address, or whatever else tells callers apart, and for all of them: constant memory and time a request,
 * whatever strangers send.
 */
export class RateLimit {
  readonly #what: string;
  readonly #minutes: number;
  readonly #perAddress: number;
  readonly #total: number;
  readonly #addresses: number;
  readonly #clock: () => number;
  readonly #all: Bucket;
  readonly #buckets = new Map<string, Bucket>();

  constructor(limits: RateLimits = {}) {
    const { what = 'try to enrol', minutes = 1, perAddress = 10, total = 120, addresses = 10_000 } = limits;
    this.#what = what;
    this.#minutes = minutes;
    this.#perAddress = perAddress;
    this.#total = total;
    this.#addresses = addresses;
    this.#clock = limits.clock ?? (() => performance.now());
    this.#all = { tokens: total, at: this.#clock() };
  }

  /**
   * Takes one request of an address into account.
   * @throws ClaraError `resource-exhausted`
   */
  take(address: string): void {
    const now = this.#clock();
    const own = this.#buckets.get(address) ?? { tokens: this.#perAddress, at: now };
    // Re-inserting keeps the map in order of last use.
    this.#buckets.delete(address);
    this.#buckets.set(address, own);
    if (this.#buckets.size > this.#addresses) this.#buckets.delete(this.#buckets.keys().next().value!);
    this.#refill(own, this.#perAddress, now);
    this.#refill(this.#all, this.#total, now);
    // An address over its own limit must not use up what others share.
    if (own.tokens < 1) throw this.#tooMany('this address', this.#perAddress);
    if (this.#all.tokens < 1) throw this.#tooMany('all addresses together', this.#total);
    own.tokens--;
    this.#all.tokens--;
  }

  #refill(bucket: Bucket, limit: number, now: number): void {
    bucket.tokens = Math.min(limit, bucket.tokens + ((now - bucket.at) * limit) / (this.#minutes * 60_000));
    bucket.at = now;
  }

  #tooMany(who: string, limit: number): ClaraError {
    const [span, wait] = this.#minutes === 1 ? ['a minute', 'a minute'] : [`in ${this.#minutes} minutes`, 'a while'];
    return new ClaraError('resource-exhausted', `${who} may ${this.#what} ${limit} times ${span}; wait ${wait}`);
  }
}
