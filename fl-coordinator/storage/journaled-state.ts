import type { z } from 'zod';
import { ClaraError } from '../../base/errors';
import { eventKey, fence, type JournalPlace, readJournal, writeEvent } from './object-journal';
import type { ObjectStore } from './object-store';

/** What a journal means: its events, and the state that they lead to. */
export interface JournalRules<State, Event> {
  readonly place: JournalPlace;
  readonly initial: State;
  readonly schema: z.ZodType<Event>;
  readonly reduce: (state: State, event: Event) => State;
}

/** The term of the leader who writes. */
export interface JournalTerm {
  readonly epoch: number;
  /** Closes the journal to earlier leaders; for people, who does. @default not closed: no earlier one can be alive */
  readonly fencedBy?: string | undefined;
}

export interface JournaledStateOptions<State, Event> {
  readonly store: ObjectStore;
  /** @default the system's clock */
  readonly now?: (() => Date) | undefined;
  /** @default epoch 0, not fenced */
  readonly term?: JournalTerm | undefined;
  /** After each event, whether it was replayed or has just become durable. */
  readonly onEvent?: (event: Event, before: State, after: State) => void;
}

/** What the envelope says of every event. */
interface Placed {
  readonly seq: number;
}
type LeaderChanged = { readonly type: 'leader-changed'; readonly address: string };

/**
 * A state whose truth is a journal of events in the object store, replayed at start. Events are written one after the other, each
 * decided from the state that the one before left.
 */
export class JournaledState<State extends Placed, Event extends Placed, Decision extends object> {
  #state: State;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly rules: JournalRules<State, Event>,
    private readonly options: JournaledStateOptions<State, Event>,
  ) {
    this.#state = rules.initial;
  }

  /** Replays the journal. @throws ClaraError `corrupt`, naming the first event that is missing or damaged */
  static async open<State extends Placed, Event extends Placed, Decision extends object>(
    rules: JournalRules<State, Event>,
    options: JournaledStateOptions<State, Event>,
  ): Promise<JournaledState<State, Event, Decision | LeaderChanged>> {
    const load = async () => {
      const journaled = new JournaledState<State, Event, Decision | LeaderChanged>(rules, options);
      for await (const { key, bytes } of readJournal(options.store, rules.place)) journaled.#follow(key, bytes)();
      return journaled;
    };
    const address = options.term?.fencedBy;
    if (address === undefined) return load();
    return fence(load, async (journaled) => {
      await journaled.append(() => ({ type: 'leader-changed', address }));
      return journaled;
    });
  }

  get state(): State {
    return this.#state;
  }

  /**
   * Decides and writes after everything before.
   * @param decide the event that follows from the state, or nothing when there is nothing to do
   * @returns false when there was nothing to do
   */
  append(decide: (state: State) => Promise<Decision | undefined> | Decision | undefined): Promise<boolean> {
    const turn = this.#last.then(async () => {
      const decision = await decide(this.#state);
      if (decision) await this.#write(decision);
      return decision !== undefined;
    });
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #write(decision: Decision): Promise<void> {
    const { store, now = () => new Date(), term } = this.options;
    const { place } = this.rules;
    const seq = this.#state.seq + 1;
    const bytes = Buffer.from(
      JSON.stringify({ v: 1, seq, at: now().toISOString(), epoch: term?.epoch ?? 0, ...decision }),
    );
    if (bytes.length > place.maxEventBytes) {
      // Once written it could not be read again, and no coordinator would start on this journal.
      throw new ClaraError(
        'resource-exhausted',
        `an event of ${bytes.length} bytes is too large for ${place.what}; at most ${place.maxEventBytes} are kept`,
      );
    }
    // What is reduced is what a replay would read, so memory and journal cannot differ.
    const happen = this.#follow(eventKey(place.prefix, seq), bytes);
    await writeEvent(store, place, seq, bytes);
    happen();
  }

  /** Proves that the event can follow. @returns lets it happen */
  #follow(key: string, bytes: Uint8Array): () => void {
    const before = this.#state;
    const event = this.#parse(key, bytes);
    const after = this.#reduce(key, before, event);
    return () => {
      this.#state = after;
      this.options.onEvent?.(event, before, after);
    };
  }

  #parse(key: string, bytes: Uint8Array): Event {
    const { schema, place } = this.rules;
    try {
      const event = schema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
      if (eventKey(place.prefix, event.seq) !== key) throw new Error(`it says it is event ${event.seq}`);
      return event;
    } catch (cause) {
      throw new ClaraError('corrupt', `${key} is not an event of ${place.what}; restore it from a backup`, { cause });
    }
  }

  #reduce(key: string, state: State, event: Event): State {
    try {
      return this.rules.reduce(state, event);
    } catch (cause) {
      const { what } = this.rules.place;
      throw new ClaraError('corrupt', `${key} cannot follow the events before it; restore ${what} from a backup`, {
        cause,
      });
    }
  }
}
