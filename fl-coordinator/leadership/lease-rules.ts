import type { Candidate, Lease, StoredLease } from './lease';

/**
 * The rules of the lease, as pure functions of what one process has seen and of its own clock (Gray and Cheriton, "Leases",
 * SOSP 1989). Two processes never both believe that they lead, as long as their clocks' rates differ by less than
 * {@link HOLDER_SHARE} allows, whatever their readings are:
 *
 *     the holder believes it from before it sends a renewal, for 0.9 of the duration on its clock;
 *     another takes the lease when it has seen no change for the whole duration on its clock, from after it read.
 *
 * The renewal took effect after it was sent and before it was read, so the second span begins later and lasts longer.
 */

/** What a holder uses of the duration: clocks may differ in rate by a tenth, a thousand times more than quartz does. */
const HOLDER_SHARE = 0.9;
/** A holder renews so often within the duration, so that a few failures do no harm. */
const RENEWALS = 5;
/** Whoever stands by looks so often within the duration; a lease that was released is taken after one look. */
const LOOKS = 20;

export const renewalMillis = (durationMillis: number): number => durationMillis / RENEWALS;
export const lookMillis = (durationMillis: number): number => durationMillis / LOOKS;

/** Until when, on the holder's clock, a renewal that was sent then lets it write. */
export const heldUntil = (sent: number, durationMillis: number): number => sent + durationMillis * HOLDER_SHARE;

/** A lease that somebody watches. */
export interface WatchedLease extends StoredLease {
  /** On the watcher's clock, after the answer that showed this content for the first time. */
  readonly since: number;
}

/** `read` at `now`; the time counts from the first look at this very content. */
export function watch(before: WatchedLease | undefined, read: StoredLease, now: number): WatchedLease {
  return before?.etag === read.etag ? before : { ...read, since: now };
}

/**
 * True when whoever watches may try to take the lease: it was released, its holder is proven to have ended, it is the
 * watcher's own from a term that is over, or it was not renewed for its whole duration.
 */
export function mayTake(
  { lease, since }: WatchedLease,
  now: number,
  self: string,
  isEnded: (holder: Lease['holder']) => boolean,
): boolean {
  if (lease.released || lease.holder.id === self) return true;
  return now - since >= lease.durationMillis || isEnded(lease.holder);
}

/** The lease that a candidate writes to lead after `before`. */
export function taken(before: Lease | undefined, { holder, address, durationMillis }: Candidate): Lease {
  const epoch = (before?.epoch ?? 0) + 1;
  return { v: 1, epoch, holder, address, renewal: 0, durationMillis, released: false };
}

export function renewed(lease: Lease): Lease {
  return { ...lease, renewal: lease.renewal + 1 };
}
