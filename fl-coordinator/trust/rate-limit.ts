import { ClaraError } from '../../base/errors';

export interface RateLimits {
  /** Requests a minute from one address; as many at once. @default 10 */
  readonly perAddress?: number;
  /** Requests a minute in total; as many at once. @default 120 */
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

/** Token buckets per address and for all of them: constant memory and time a request, whatever strangers send. */
export class RateLimit {
  readonly #perAddress: number;
  readonly #total: number;
  readonly #addresses: number;
  readonly #clock: () => number;
  readonly #all: Bucket;
  readonly #buckets = new Map<string, Bucket>();

  constructor({ perAddress = 10, total = 120, addresses = 10_000, clock = () => performance.now() }: RateLimits = {}) {
    this.#perAddress = perAddress;
    this.#total = total;
    this.#addresses = addresses;
    this.#clock = clock;
    this.#all = { tokens: total, at: clock() };
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
    refill(own, this.#perAddress, now);
    refill(this.#all, this.#total, now);
    // An address over its own limit must not use up what others share.
    if (own.tokens < 1) throw tooMany('this address', this.#perAddress);
    if (this.#all.tokens < 1) throw tooMany('all addresses together', this.#total);
    own.tokens--;
    this.#all.tokens--;
  }
}

function refill(bucket: Bucket, perMinute: number, now: number): void {
  bucket.tokens = Math.min(perMinute, bucket.tokens + ((now - bucket.at) * perMinute) / 60_000);
  bucket.at = now;
}

function tooMany(who: string, perMinute: number): ClaraError {
  return new ClaraError('resource-exhausted', `${who} may try to enrol ${perMinute} times a minute; wait a minute`);
}
