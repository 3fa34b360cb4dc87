import { ClaraError, type Fault, showFault } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import { faultPoint } from '../fault-points';
import { eventKey, fence, type JournalPlace, readJournal, writeEvent } from '../storage/object-journal';
import type { ObjectStore } from '../storage/object-store';
import { EVENT_VERSION, type NewEvent, type RunEvent, runEventSchema } from './events';
import { journalPrefix } from './object-names';
import { reduce } from './reduce';
import type { RunState } from './run-state';

/** The journal of a run in the object store. */

/** Larger than any event: a plan of a million characters and its envelope. */
const MAX_EVENT_BYTES = 8 << 20;

/** The term of the leader that writes. */
export interface Term {
  readonly epoch: number;
  /** Of the leader, for people. */
  readonly address: string;
}

/** Replays the journal. @returns undefined when the run has none. @throws ClaraError `corrupt`, naming the event. */
export async function loadRun(store: ObjectStore, run: string): Promise<RunState | undefined> {
  let state: RunState | undefined;
  for await (const { key, bytes } of readJournal(store, placeOf(run))) {
    state = reduce(state, run, parseEvent(key, bytes));
  }
  return state;
}

/**
 * Replays the journal and, unless the run has ended, writes that another leader goes on with it: whatever an earlier leader
 * has on its way for this journal finds its place taken.
 */
export function takeOverRun(
  store: ObjectStore,
  run: string,
  term: Term,
  now: () => Date,
): Promise<RunState | undefined> {
  return fence(
    () => loadRun(store, run),
    async (state) => {
      if (!state || state.outcome) return state;
      return appendEvent(store, run, state, { type: 'leader-changed', address: term.address }, now(), term.epoch);
    },
  );
}

/** An event with its place in the journal, as bytes. */
export interface StampedEvent {
  readonly run: string;
  readonly seq: number;
  readonly bytes: Buffer;
  /** The state after it. */
  readonly next: RunState;
}

/** @throws ClaraError `resource-exhausted` when the event is too large to be read again */
export function stampEvent(
  run: string,
  state: RunState | undefined,
  event: NewEvent,
  now: Date,
  epoch = 0,
): StampedEvent {
  const seq = (state?.seq ?? 0) + 1;
  // Time never goes back in a journal, whatever happened to the clock while no coordinator ran (run-clock.ts).
  const at = new Date(Math.max(now.getTime(), state ? Date.parse(state.changedAt) : 0)).toISOString();
  const bytes = Buffer.from(JSON.stringify({ v: EVENT_VERSION, seq, at, epoch, ...event }));
  // What is reduced is what a replay would read, so memory and journal cannot differ.
  const next = reduce(state, run, parseEvent(eventKey(journalPrefix(run), seq), bytes));
  if (bytes.length > MAX_EVENT_BYTES) {
    // Once written it could not be read again, and no coordinator would start on this journal.
    throw new ClaraError(
      'resource-exhausted',
      `event ${seq} of run ${run} (${event.type}) takes ${bytes.length} bytes; at most ${MAX_EVENT_BYTES} are kept, so shorten the plan or the results`,
    );
  }
  return { run, seq, bytes, next };
}

/**
 * Makes an event durable and answers the state after it.
 * @throws ClaraError `precondition-failed` when somebody else has written this event: another coordinator leads
 */
export async function writeStamped(store: ObjectStore, { run, seq, bytes, next }: StampedEvent): Promise<RunState> {
  faultPoint('journal.before-append');
  await writeEvent(store, placeOf(run), seq, bytes);
  faultPoint('journal.after-append');
  return next;
}

/** {@link stampEvent}, then {@link writeStamped}. */
export async function appendEvent(
  store: ObjectStore,
  run: string,
  state: RunState | undefined,
  event: NewEvent,
  now: Date,
  epoch = 0,
): Promise<RunState> {
  return writeStamped(store, stampEvent(run, state, event, now, epoch));
}

function placeOf(run: string): JournalPlace {
  return { prefix: journalPrefix(run), what: `the journal of run ${run}`, maxEventBytes: MAX_EVENT_BYTES };
}

function parseEvent(key: string, bytes: Uint8Array): RunEvent {
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    throw new ClaraError('corrupt', `${key} is not JSON; the journal is damaged`, { cause: error });
  }
  const result = runEventSchema.safeParse(document);
  if (result.success) return result.data;
  const faults: Fault[] = faultsOf(result.error, document);
  throw new ClaraError('corrupt', `${key} is not an event of this version: ${faults.map(showFault).join('; ')}`, {
    faults,
  });
}
