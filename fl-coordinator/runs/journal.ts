import { ClaraError, type Fault, hasCode, showFault } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import { faultPoint } from '../fault-points';
import { type ObjectStore, readAll } from '../storage/object-store';
import { EVENT_VERSION, type NewEvent, type RunEvent, runEventSchema } from './events';
import { journalKey, journalPrefix } from './object-names';
import { type RunState, reduce } from './run-state';

/**
 * The journal of a run in the object store: one object an event, written with create-if-absent. Two coordinators can never
 * both write event n, so the journal fences itself without a database.
 */

/** Larger than any event: a plan of a million characters and its envelope. */
const MAX_EVENT_BYTES = 8 << 20;

/** Replays the journal. @returns undefined when the run has none. @throws ClaraError `corrupt`, naming the event. */
export async function loadRun(store: ObjectStore, run: string): Promise<RunState | undefined> {
  let state: RunState | undefined;
  for await (const { key } of store.list(journalPrefix(run))) {
    const seq = (state?.seq ?? 0) + 1;
    if (key !== journalKey(run, seq)) {
      throw new ClaraError(
        'corrupt',
        `the journal of run ${run} has no event ${seq} but ${key}; an event is missing or foreign`,
      );
    }
    state = reduce(state, run, parseEvent(key, await readAll(store, key, MAX_EVENT_BYTES)));
  }
  return state;
}

/**
 * Makes an event durable and answers the state after it.
 * @throws ClaraError `precondition-failed` when somebody else has written this event: another coordinator works on the store;
 *   `resource-exhausted` when it is too large to be read again
 */
export async function appendEvent(
  store: ObjectStore,
  run: string,
  state: RunState | undefined,
  event: NewEvent,
  now: Date,
): Promise<RunState> {
  const seq = (state?.seq ?? 0) + 1;
  const stamped = { v: EVENT_VERSION, seq, at: now.toISOString(), ...event };
  const bytes = Buffer.from(JSON.stringify(stamped));
  // What is reduced is what a replay would read, so memory and journal cannot differ.
  const next = reduce(state, run, parseEvent(journalKey(run, seq), bytes));
  if (bytes.length > MAX_EVENT_BYTES) {
    // Once written it could not be read again, and no coordinator would start on this journal.
    throw new ClaraError(
      'resource-exhausted',
      `event ${seq} of run ${run} (${event.type}) takes ${bytes.length} bytes; at most ${MAX_EVENT_BYTES} are kept, so shorten the plan or the results`,
    );
  }
  faultPoint('journal.before-append');
  try {
    await store.putIfAbsent(journalKey(run, seq), bytes);
  } catch (error) {
    if (!hasCode(error, 'precondition-failed', 'already-exists')) throw error;
    throw new ClaraError(
      'precondition-failed',
      `event ${seq} of run ${run} was written by another coordinator; this one must stop`,
      {
        cause: error,
      },
    );
  }
  faultPoint('journal.after-append');
  return next;
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
