import { z } from 'zod';
import { ClaraError, hasCode } from '../../base/errors';
import { eventKey, fence, type JournalPlace, readJournal, writeEvent } from '../storage/object-journal';
import { type ObjectStore, readAll } from '../storage/object-store';
import { type StampedEvent, type Term, writeStamped } from './journal';
import { journalPrefix } from './object-names';

/**
 * The journal of submissions. A journal of a run can be fenced once it has an event; a run that is only being submitted has
 * none, and a former leader could still create it. So the first event of every run is written here first, in a journal that
 * all runs share and that a new leader fences; then it is copied to its own place, which whoever comes next does as well,
 * with the same bytes.
 */

const PLACE: JournalPlace = {
  prefix: 'federation/submissions/',
  what: 'the journal of submissions',
  // The first event of a run, as text within JSON, and its envelope.
  maxEventBytes: 20 << 20,
};

const envelope = {
  v: z.literal(1),
  seq: z.number().int().min(1),
  at: z.iso.datetime(),
  epoch: z.number().int().min(0),
};

const entrySchema = z.discriminatedUnion('type', [
  /** `event`: the bytes of event 1, as they go to the journal of the run. */
  z.object({ ...envelope, type: z.literal('run-submitted'), run: z.string().max(200), event: z.string() }),
  z.object({ ...envelope, type: z.literal('leader-changed'), address: z.string().max(300) }),
]);

type Entry = z.output<typeof entrySchema>;
type NewEntry = Entry extends infer E ? (E extends Entry ? Omit<E, keyof typeof envelope> : never) : never;

export class Submissions {
  #seq: number;
  /** Recorded here, and not known to be in the journal of its run. */
  #pending: StampedEvent | undefined;

  private constructor(
    private readonly store: ObjectStore,
    private readonly now: () => Date,
    private readonly epoch: number,
    seq: number,
  ) {
    this.#seq = seq;
  }

  /**
   * Completes the last submission, should its writer have ended in the middle.
   * @param epoch of this leader
   * @param fencing closes the journal to earlier leaders
   */
  static async open(store: ObjectStore, now: () => Date, epoch: number, fencing?: Term): Promise<Submissions> {
    const load = async (): Promise<Submissions> => {
      const last = await lastSeq(store);
      for await (const { key, bytes } of readJournal(store, PLACE, Math.max(last - 1, 0))) {
        const entry = parseEntry(key, bytes);
        if (entry.type === 'run-submitted') await complete(store, entry.run, Buffer.from(entry.event));
      }
      return new Submissions(store, now, epoch, last);
    };
    if (!fencing) return load();
    return fence(load, async (opened) => {
      await opened.#append({ type: 'leader-changed', address: fencing.address });
      return opened;
    });
  }

  /**
   * From here on the run is submitted, whatever happens to this coordinator; {@link settle} must follow.
   * @throws ClaraError `precondition-failed` when another coordinator leads
   */
  async record(event: StampedEvent): Promise<void> {
    const { run, bytes } = event;
    await this.#append({ type: 'run-submitted', run, event: bytes.toString('utf8') });
    this.#pending = event;
  }

  /** Brings what was recorded to its own journal. @returns it, or nothing when all is there */
  async settle(): Promise<StampedEvent | undefined> {
    const pending = this.#pending;
    if (!pending) return undefined;
    await writeStamped(this.store, pending).catch((error: unknown) => isThere(this.store, pending, error));
    this.#pending = undefined;
    return pending;
  }

  async #append(entry: NewEntry): Promise<void> {
    const { store, now, epoch } = this;
    const seq = this.#seq + 1;
    const bytes = Buffer.from(JSON.stringify({ v: 1, seq, at: now().toISOString(), epoch, ...entry }));
    await writeEvent(store, PLACE, seq, bytes);
    this.#seq = seq;
  }
}

/** Reads every entry, and writes nothing. @returns how many there are. @throws ClaraError `corrupt`, naming the entry */
export async function checkSubmissions(store: ObjectStore): Promise<number> {
  let entries = 0;
  for await (const { key, bytes } of readJournal(store, PLACE)) {
    parseEntry(key, bytes);
    entries++;
  }
  return entries;
}

/** Keys alone are read: of entries before the last, each was completed before the next one was written. */
async function lastSeq(store: ObjectStore): Promise<number> {
  let seq = 0;
  for await (const { key } of store.list(PLACE.prefix)) {
    seq++;
    if (key !== eventKey(PLACE.prefix, seq)) {
      throw new ClaraError('corrupt', `${PLACE.what} has no event ${seq} but ${key}; an event is missing or foreign`);
    }
  }
  return seq;
}

async function complete(store: ObjectStore, run: string, event: Buffer): Promise<void> {
  try {
    await store.putIfAbsent(eventKey(journalPrefix(run), 1), event);
  } catch (error) {
    if (!hasCode(error, 'precondition-failed', 'already-exists')) throw error;
  }
}

/** An attempt that failed may have succeeded all the same: the same bytes are there then. */
async function isThere(store: ObjectStore, { run, seq, bytes }: StampedEvent, error: unknown): Promise<void> {
  if (!hasCode(error, 'precondition-failed')) throw error;
  const found = await readAll(store, eventKey(journalPrefix(run), seq), PLACE.maxEventBytes);
  if (!found.equals(bytes)) throw error;
}

function parseEntry(key: string, bytes: Buffer): Entry {
  try {
    return entrySchema.parse(JSON.parse(bytes.toString('utf8')));
  } catch (error) {
    throw new ClaraError('corrupt', `${key} is not an entry of ${PLACE.what}; restore it from a backup`, {
      cause: error,
    });
  }
}
