import { ClaraError, hasCode } from '../../base/errors';
import type { ObjectStore } from '../storage/object-store';
import { isProvenDead } from '../storage/store-owner';
import { type LeaseClock, SYSTEM_CLOCK } from './clock';
import { type Candidate, type Lease, readLease, type StoredLease, writeLease } from './lease';
import { heldUntil, lookMillis, mayTake, renewalMillis, renewed, taken, type WatchedLease, watch } from './lease-rules';

export interface LeadershipOptions {
  readonly store: ObjectStore;
  readonly self: Candidate;
  /** Told of every holder that is waited for, once. */
  readonly onStandingBy?: (leader: Lease) => void;
  /** The store did not answer, or not well; it is asked again. */
  readonly onProblem?: (error: ClaraError) => void;
  readonly clock?: LeaseClock;
  /** @default what this machine can prove of its own processes */
  readonly isEnded?: (holder: Lease['holder']) => boolean;
}

/**
 * Stands by until this process leads.
 * @throws the signal's reason; ClaraError `corrupt` when the object of the lease is none
 */
export async function takeLead(options: LeadershipOptions, signal: AbortSignal): Promise<Lead> {
  const { store, self, clock = SYSTEM_CLOCK, isEnded = isProvenDead } = options;
  let seen: WatchedLease | undefined;
  let told: number | undefined;
  for (;;) {
    signal.throwIfAborted();
    try {
      const read = await readLease(store);
      seen = read && watch(seen, read, clock.now());
      if (!seen || mayTake(seen, clock.now(), self.holder.id, isEnded)) {
        const sent = instantOf(clock);
        const mine = await writeLease(store, taken(seen?.lease, self), seen);
        return new Lead(mine, sent, options, !seen || seen.lease.released);
      }
      if (told !== seen.lease.epoch) options.onStandingBy?.(seen.lease);
      told = seen.lease.epoch;
    } catch (thrown) {
      const error = ClaraError.from(thrown);
      if (error.code === 'corrupt') throw error;
      // Somebody else was first: the next look says who.
      if (error.code !== 'precondition-failed') options.onProblem?.(error);
    }
    await clock.sleep(lookMillis(self.durationMillis), signal);
  }
}

/** A reading of both clocks. */
interface Instant {
  readonly now: number;
  readonly wall: number;
}

const instantOf = (clock: LeaseClock): Instant => ({ now: clock.now(), wall: clock.wall() });

/** The lead, from its taking to its loss or release; renews itself. A lead that was lost never comes back: take another. */
export class Lead {
  readonly #clock: LeaseClock;
  readonly #lost = new AbortController();
  readonly #renewing = new AbortController();
  readonly #renewals: Promise<void>;
  #ended = false;
  #mine: StoredLease;
  #sent: Instant;

  constructor(
    mine: StoredLease,
    sent: Instant,
    private readonly options: LeadershipOptions,
    /** Nobody led before, or whoever did has stopped in order: no write of an earlier leader can be on its way. */
    readonly afterOrderlyEnd: boolean,
  ) {
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#mine = mine;
    this.#sent = sent;
    this.#renewals = this.#keepRenewing();
  }

  get epoch(): number {
    return this.#mine.lease.epoch;
  }

  /** Aborts when the lead is lost, with a ClaraError that says why; never after {@link release}. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** True while no other process can believe that it leads. */
  get isHeld(): boolean {
    return !this.#ended && !this.#lost.signal.aborted && this.#leftMillis() > 0;
  }

  /** @throws ClaraError `unavailable` once the lead is lost, or its lease has run out without a renewal */
  mustBeHeld(): void {
    if (this.isHeld) return;
    throw new ClaraError(
      'unavailable',
      `this coordinator does not lead any more (epoch ${this.epoch}); ask again, and the one that leads will answer`,
    );
  }

  /**
   * Ends the lead. With `everythingEnded` the next leader need not wait: say it only when no write is on its way any more, and
   * every journal was fenced.
   */
  async release({ everythingEnded }: { readonly everythingEnded: boolean }): Promise<void> {
    this.#renewing.abort();
    await this.#renewals;
    const mayRelease = everythingEnded && this.isHeld;
    this.#ended = true; // Before anybody can read that it is free.
    if (!mayRelease) return;
    const { store } = this.options;
    // Failing that, the next leader waits for the lease to run out.
    await writeLease(store, { ...renewed(this.#mine.lease), released: true }, this.#mine).catch(() => undefined);
  }

  async #keepRenewing(): Promise<void> {
    const { durationMillis } = this.#mine.lease;
    const { signal } = this.#renewing;
    let failed = false;
    while (!signal.aborted && !this.#lost.signal.aborted) {
      // Counted from when the last renewal was sent: a store that takes long over each one leaves less of the lease already. A
      // renewal that fails is tried again sooner; the end of the lease is looked at in time.
      const pause = failed ? lookMillis(durationMillis) : renewalMillis(durationMillis) - this.#elapsedMillis();
      await this.#clock.sleep(Math.max(Math.min(pause, this.#leftMillis()), 0), signal).catch(() => undefined);
      if (signal.aborted) return;
      if (this.#leftMillis() <= 0) return this.#lose('its lease ran out before the store had taken a renewal');
      failed = !(await this.#renewInTime());
    }
  }

  /** One attempt, given up when the lease ends. @returns whether it succeeded */
  async #renewInTime(): Promise<boolean> {
    const waiting = new AbortController();
    const end = this.#clock.sleep(this.#leftMillis(), waiting.signal).then(
      () => false,
      () => false,
    );
    try {
      return await Promise.race([this.#renew(), end]);
    } finally {
      waiting.abort();
    }
  }

  async #renew(): Promise<boolean> {
    const { store } = this.options;
    const sent = instantOf(this.#clock);
    try {
      this.#renewedAt(await writeLease(store, renewed(this.#mine.lease), this.#mine), sent);
      return true;
    } catch (thrown) {
      if (hasCode(thrown, 'precondition-failed')) await this.#lookWhoWrote();
      else this.options.onProblem?.(ClaraError.from(thrown));
      return false;
    }
  }

  /** A renewal may have happened although its answer was lost: then the next one must match what it wrote. */
  async #lookWhoWrote(): Promise<void> {
    try {
      const found = await readLease(this.options.store);
      const { holder, epoch } = this.#mine.lease;
      if (found?.lease.holder.id === holder.id && found.lease.epoch === epoch) this.#mine = found;
      else this.#lose(found ? `${found.lease.address} leads now` : 'its lease was deleted');
    } catch (error) {
      this.options.onProblem?.(ClaraError.from(error));
    }
  }

  /** An answer that comes after the lease has ended changes nothing: others may have taken it for lost. */
  #renewedAt(mine: StoredLease, sent: Instant): void {
    if (!this.isHeld) return;
    this.#mine = mine;
    this.#sent = sent;
  }

  #leftMillis(): number {
    return heldUntil(0, this.#mine.lease.durationMillis) - this.#elapsedMillis();
  }

  /** Since the renewal that holds was sent. */
  #elapsedMillis(): number {
    return Math.max(this.#clock.now() - this.#sent.now, this.#clock.wall() - this.#sent.wall);
  }

  #lose(why: string): void {
    this.#lost.abort(
      new ClaraError('unavailable', `this coordinator has lost the lead of epoch ${this.epoch}: ${why}`),
    );
  }
}
