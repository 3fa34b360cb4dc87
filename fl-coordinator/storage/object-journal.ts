import { ClaraError, hasCode } from '../../base/errors';
import { type ObjectStore, readAll } from './object-store';

/**
 * A journal in the object store: one object an event, `<prefix>000000000001.json`, written with create-if-absent. Two
 * coordinators can never both write event n, so a journal fences itself without a database.
 */
export interface JournalPlace {
  readonly prefix: string;
  /** For sentences: `the journal of run spleen-1`. */
  readonly what: string;
  readonly maxEventBytes: number;
}

export interface JournalObject {
  readonly key: string;
  readonly seq: number;
  readonly bytes: Buffer;
}

/** Twelve digits, so that the store's lexicographic order is the order of events. */
export const eventKey = (prefix: string, seq: number): string => `${prefix}${String(seq).padStart(12, '0')}.json`;

/** Every event behind event `after`, in order. @throws ClaraError `corrupt` at a gap or a foreign object */
export async function* readJournal(
  store: ObjectStore,
  { prefix, what, maxEventBytes }: JournalPlace,
  after = 0,
): AsyncGenerator<JournalObject> {
  let seq = after;
  for await (const { key } of store.list(prefix, { after: eventKey(prefix, after) })) {
    seq++;
    if (key !== eventKey(prefix, seq)) {
      throw new ClaraError('corrupt', `${what} has no event ${seq} but ${key}; an event is missing or foreign`);
    }
    yield { key, seq, bytes: await readAll(store, key, maxEventBytes) };
  }
}

/**
 * Makes event `seq` durable.
 * @throws ClaraError `precondition-failed` when somebody else has written this event: another coordinator leads
 */
export async function writeEvent(store: ObjectStore, place: JournalPlace, seq: number, bytes: Buffer): Promise<void> {
  try {
    await store.putIfAbsent(eventKey(place.prefix, seq), bytes);
  } catch (error) {
    if (!hasCode(error, 'precondition-failed', 'already-exists')) throw error;
    throw new ClaraError(
      'precondition-failed',
      `event ${seq} of ${place.what} was written by another coordinator; this one must stop`,
      { cause: error },
    );
  }
}

/**
 * Writes one event of a new leader behind all others, which takes the place of whatever an earlier leader may still have on
 * its way; `load` is called again when such a write came first. An earlier leader writes one event after the other and only
 * from what it has read, so it has one on its way at most, and none after it was fenced.
 */
export async function fence<State>(
  load: () => Promise<State>,
  write: (state: State) => Promise<State>,
): Promise<State> {
  for (;;) {
    const state = await load();
    try {
      return await write(state);
    } catch (error) {
      if (!hasCode(error, 'precondition-failed')) throw error;
    }
  }
}
