import { z } from 'zod';
import { ClaraError, hasCode } from '../../base/errors';
import { type ObjectStore, readAll } from '../storage/object-store';
import { processCardSchema } from '../storage/store-owner';

/**
 * Who leads, as an object in the store that is taken and renewed by conditional writes only. It holds no instant: clocks of
 * two machines are never compared. Whoever wants to lead watches whether it changes.
 */
export const LEASE_KEY = 'federation/lease.json';

const MAX_LEASE_BYTES = 4096;

const leaseSchema = z.object({
  v: z.literal(1),
  /** Grows by one with each taking of the lead, and never shrinks: the fencing token (Lamport 1978; Gray, Cheriton 1989). */
  epoch: z.number().int().min(1),
  holder: processCardSchema,
  /** `host:port` at which the holder serves; for sentences, nobody is sent there by it. */
  address: z.string().max(300),
  /** Grows with each renewal, so that no two contents are alike. */
  renewal: z.number().int().min(0),
  /** Unchanged for so long, the lease may be taken. */
  durationMillis: z.number().int().min(1).max(3_600_000),
  /** The holder has stopped in order: nothing of it is on its way to the store any more. */
  released: z.boolean(),
});

export type Lease = z.output<typeof leaseSchema>;
export type Candidate = Pick<Lease, 'holder' | 'address' | 'durationMillis'>;

/** A lease as it lies in the store. */
export interface StoredLease {
  readonly lease: Lease;
  readonly etag: string;
}

/** @throws ClaraError `corrupt` when the object is no lease */
export async function readLease(store: ObjectStore): Promise<StoredLease | undefined> {
  try {
    const { etag, bytes } = await readWithEtag(store);
    return { lease: leaseSchema.parse(JSON.parse(bytes.toString('utf8'))), etag };
  } catch (error) {
    if (hasCode(error, 'not-found')) return undefined;
    if (error instanceof ClaraError) throw error;
    throw new ClaraError(
      'corrupt',
      `${LEASE_KEY} is not a lease; stop every coordinator of this store, delete it, and start them again`,
      { cause: error },
    );
  }
}

/** The etag belongs to the bytes: the object may be replaced between two requests. */
async function readWithEtag(store: ObjectStore): Promise<{ etag: string; bytes: Buffer }> {
  let etag = '';
  const bytes = await readAll(
    {
      get: async (key, options) => {
        const found = await store.get(key, options);
        ({ etag } = found);
        return found;
      },
    },
    LEASE_KEY,
    MAX_LEASE_BYTES,
  );
  return { etag, bytes };
}

/**
 * Writes the lease, if it still is what the writer has seen (or still absent).
 * @throws ClaraError `precondition-failed` when it is not. After any other error the write may have happened or not.
 */
export async function writeLease(
  store: ObjectStore,
  lease: Lease,
  seen: StoredLease | undefined,
): Promise<StoredLease> {
  const bytes = Buffer.from(JSON.stringify(lease));
  const { etag } = seen
    ? await store.putIfMatch(LEASE_KEY, bytes, seen.etag)
    : await store.putIfAbsent(LEASE_KEY, bytes);
  return { lease, etag };
}
