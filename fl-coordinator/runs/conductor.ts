import { ClaraError, hasCode } from '../../base/errors';
import { ownPeakRssBytes } from '../../base/own-memory';
import { MAX_TIMER_MILLIS } from '../../base/timers';
import type { Plan } from '../../federation/plan';
import type { ObjectStore } from '../storage/object-store';
import { advance, type Command, decide, nextDeadline } from './decide';
import type { NewEvent } from './events';
import { appendEvent, type Term } from './journal';
import type { MadeModel } from './make-model';
import { type PendingModel, pendingModel } from './pending-model';
import { runClock, runningMillis } from './run-clock';
import type { RunState } from './run-state';
import type { Traffic } from './traffic';

export interface ConductorOptions {
  readonly store: ObjectStore;
  readonly traffic: Traffic;
  /** @default {@link steadyTime} */
  readonly now?: () => Date;
  /** Of this coordinator as the leader. @default none: nobody else works on the store */
  readonly term?: Term;
  /** The leader before stopped in order, so that no write of it is on its way. @default false */
  readonly afterOrderlyEnd?: boolean;
  /** Makes a model durable under its target key. Doing it twice must give the same bytes. */
  readonly makeModel: (state: RunState, work: PendingModel, signal: AbortSignal) => Promise<MadeModel>;
  /** After every event, with the seconds that making it durable took. For figures; nothing follows from it. */
  readonly onAppended?: (event: NewEvent, seconds: number) => void;
  /** After every event, with the state that it led to. */
  readonly onChange: (state: RunState) => void;
  /** Before anything of a run is made: is there room for models of so many bytes? @throws ClaraError `out-of-space` */
  readonly checkRoom?: (plan: Plan, sites: number, modelBytes: number) => Promise<void>;
  /** The run was over while a model was being made, and that has stopped: it writes nothing more. */
  readonly onWorkStopped?: (state: RunState) => void;
  /** A model could not be made now and is tried again. */
  readonly onDelayed?: (run: string, round: number, error: ClaraError) => void;
  /** This coordinator may not go on with the run: another one writes its journal, or the journal cannot be written. */
  readonly onFatal: (error: ClaraError) => void;
}

const RETRY_MILLIS = 1000;
const MODEL_ATTEMPTS = 6;
/** Between two attempts while the disk is full, or the run is paused. */
const LONGEST_RETRY_MILLIS = 30_000;

/**
 * Carries one run from its journal to a final state: applies commands one after another, lets follow-up events happen, keeps
 * the deadline and has models made. Everything it does follows from the state, so a new conductor on the same journal goes
 * on where a killed one stopped.
 */
export class Conductor {
  #state: RunState;
  #tail: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #working = false;
  #modelFailures = 0;
  /** What time it is for this run. */
  readonly now: () => Date;
  readonly #stop = new AbortController();
  /** Aborts when the run has its outcome: nobody waits for a model any more. */
  readonly #over = new AbortController();

  constructor(
    state: RunState,
    private readonly options: ConductorOptions,
  ) {
    this.#state = state;
    this.now = runClock(state.changedAt, options.now);
  }

  get state(): RunState {
    return this.#state;
  }

  /** Goes on from the state as it is: after submission, and after a restart. */
  start(): void {
    void this.#serially(() => this.#settleDown()).catch((error: unknown) => this.#retryLater(error));
  }

  /**
   * Applies a command after all earlier ones.
   * @returns true when it became an event, false when it came too late to matter.
   * @throws ClaraError when the event could not be made durable: nothing has happened then.
   */
  dispatch(command: Command): Promise<boolean> {
    return this.#serially(async () => {
      const event = decide(this.#state, command);
      if (event) await this.#append(event);
      // The command is durable: what follows from it may fail and be tried again without the caller.
      await this.#settleDown().catch((error: unknown) => this.#retryLater(error));
      return event !== undefined;
    });
  }

  /** Stops timers and model work; the journal stays as it is. */
  async close(): Promise<void> {
    this.#stop.abort(new ClaraError('cancelled', 'the coordinator is stopping'));
    clearTimeout(this.#timer);
    await this.#tail.catch(() => undefined);
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(() => {
      this.#stop.signal.throwIfAborted();
      return work();
    });
    this.#tail = result.catch(() => undefined);
    return result;
  }

  async #append(event: NewEvent): Promise<void> {
    const { store, term } = this.options;
    const began = performance.now();
    try {
      this.#state = await appendEvent(store, this.#state.run, this.#state, event, this.now(), term?.epoch);
    } catch (error) {
      if (hasCode(error, 'precondition-failed')) {
        this.#stop.abort(error);
        this.options.onFatal(error);
      }
      throw error;
    }
    this.options.onAppended?.(event, (performance.now() - began) / 1000);
    if (this.#state.outcome) this.#over.abort(new ClaraError('cancelled', `run ${this.#state.run} is over`));
    if (event.type === 'stage-opened') this.options.traffic.openStage(this.#state.run);
    this.options.onChange(this.#state);
  }

  /** Lets every event happen that follows by itself, then arranges for what the run waits for. */
  async #settleDown(): Promise<void> {
    const { traffic } = this.options;
    let seen: Date;
    for (;;) {
      seen = this.now();
      const event = advance(this.#state, {
        now: seen,
        ...traffic.ofStage(this.#state.run),
        // Asked of the system only when a stage closes, which most events do not lead to.
        get peakRssBytes() {
          return ownPeakRssBytes();
        },
      });
      if (!event) break;
      await this.#append(event);
    }
    this.#watchDeadline(seen.getTime());
    this.#makePendingModel();
  }

  /**
   * @param seen the time of the last look at the state. A deadline that had passed by then has had its effect: what the run
   *   waits for now is a model, and a timer would only spin.
   */
  #watchDeadline(seen: number): void {
    clearTimeout(this.#timer);
    if (this.#state.outcome || this.#stop.signal.aborted) return;
    const deadline = nextDeadline(this.#state);
    if (deadline === undefined || deadline <= seen) return;
    this.#timer = setTimeout(() => this.start(), Math.min(deadline - seen, MAX_TIMER_MILLIS));
  }

  #retryLater(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    if (hasCode(error, 'corrupt', 'internal')) this.options.onFatal(error);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.start(), RETRY_MILLIS);
  }

  #makePendingModel(): void {
    const work = pendingModel(this.#state);
    if (!work || this.#working || this.#stop.signal.aborted) return;
    this.#working = true;
    const began = performance.now();
    this.options
      .makeModel(this.#state, work, AbortSignal.any([this.#stop.signal, this.#over.signal]))
      .then(
        (model) => {
          if (this.#workStopped()) return undefined;
          this.#modelFailures = 0;
          const figures = { seconds: (performance.now() - began) / 1000, peakRssBytes: ownPeakRssBytes() };
          return this.dispatch({ kind: 'publish-model', round: work.round, ...model, ...figures });
        },
        (error: unknown) => {
          return this.#workStopped() ? undefined : this.#modelFailed(work, error);
        },
      )
      .catch((error: unknown) => this.#retryLater(error));
  }

  /** @returns true when the run was over before the model was there */
  #workStopped(): boolean {
    this.#working = false;
    if (!this.#over.signal.aborted || this.#stop.signal.aborted) return false;
    this.options.onWorkStopped?.(this.#state);
    return true;
  }

  async #modelFailed(work: PendingModel, error: unknown): Promise<void> {
    if (this.#stop.signal.aborted || this.#state.outcome) return;
    const isPaused = this.#state.paused !== undefined;
    // A pause has an end of its own, and may well be there for what fails here.
    if (!isPaused) this.#modelFailures++;
    const passing = hasCode(error, 'unavailable', 'out-of-space', 'resource-exhausted');
    if (passing && (isPaused || this.#modelFailures < MODEL_ATTEMPTS || this.#mayWaitForRoom(error))) {
      this.options.onDelayed?.(this.#state.run, work.round, ClaraError.from(error));
      clearTimeout(this.#timer);
      const backoff = Math.min(RETRY_MILLIS * 2 ** this.#modelFailures, LONGEST_RETRY_MILLIS);
      this.#timer = setTimeout(() => this.start(), isPaused ? LONGEST_RETRY_MILLIS : backoff);
      return;
    }
    const reason = `the model of round ${work.round} could not be made: ${ClaraError.from(error).message}`;
    await this.dispatch({ kind: 'fail', reason });
  }

  /** A full disk is waited for as long as a site would be: somebody makes room, or other runs let go of their updates. */
  #mayWaitForRoom(error: unknown): boolean {
    const { closed, plan } = this.#state;
    const waited = runningMillis(this.#state, this.now().getTime()) - (closed.at(-1)?.ranMillis ?? 0);
    return hasCode(error, 'out-of-space') && waited < plan.deadline;
  }
}
