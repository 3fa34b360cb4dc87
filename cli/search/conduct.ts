import { ClaraError, hasCode } from '../../base/errors';
import type { RunSummary, RunView } from '../../federation/gen/federation/v1/federation_pb';
import { isOver } from '../run-table';
import type { Candidate } from './candidates';
import { type Cost, Purse } from './purse';
import { type Outcome, type Standing, standings, survivors } from './ranking';
import type { Search } from './search-file';
import { INTERRUPTED, submitTokenOf, type Trial, trialOf, trialPlan } from './trials';
import { outcomeOf, refusedOutcome } from './view-outcome';

/** The coordinator, as a search needs it. */
export interface TrialDesk {
  /** Runs of this search that are there already, in the order of submission. */
  known(): Promise<readonly RunSummary[]>;
  /** The same token answers the same run. @throws ClaraError `invalid-input` when the coordinator refuses the plan */
  submit(plan: unknown, token: string): Promise<{ readonly run: string; readonly alreadySubmitted: boolean }>;
  /** Follows a run to its end. */
  ended(run: string, onChange: (view: RunView) => void): Promise<EndedRun>;
}

export interface EndedRun {
  readonly view: RunView;
  /** Of models, in both directions, all stages. */
  readonly bytes: number;
}

export type SearchEvent =
  | { readonly kind: 'submitted'; readonly trial: Trial; readonly run: string; readonly alreadySubmitted: boolean }
  | { readonly kind: 'progress'; readonly trial: Trial; readonly view: RunView }
  | { readonly kind: 'ended'; readonly trial: Trial; readonly outcome: Outcome }
  | { readonly kind: 'rung'; readonly rung: number; readonly goOn: readonly number[] };

export interface ConductOptions {
  /** How many trials are at the coordinator at once. */
  readonly parallel: number;
  readonly tell: (event: SearchEvent) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export interface SearchEnd {
  /** Of every candidate that was tried, best first. */
  readonly standings: readonly Standing[];
  readonly spent: Cost;
  /** Why the search ended before its last rung; undefined when it did not. */
  readonly stopped: string | undefined;
}

/**
 * Carries a search to its end: rung after rung, in each the best candidates of the one before. What a search before has
 * submitted is found and not submitted again. Fails only where going on makes no sense: a coordinator that is away or has no room.
 */
export async function conductSearch(search: Search, desk: TrialDesk, options: ConductOptions): Promise<SearchEnd> {
  const conduct = new Conduct(search, desk, options);
  await conduct.takeUp();
  const outcomes: Outcome[] = [];
  let entrants: readonly Candidate[] = search.candidates;
  let stopped: string | undefined;
  for (const [index, { trials }] of search.rungs.entries()) {
    const rung = index + 1;
    if (rung > 1) {
      const before = outcomes.filter((outcome) => outcome.rung === rung - 1);
      const goOn = survivors(before, search.mode, trials);
      options.tell({ kind: 'rung', rung: rung - 1, goOn });
      entrants = goOn.map((number) => search.candidates[number - 1]!);
      if (entrants.length === 0) {
        stopped = `no trial of rung ${rung - 1} has a value of ${search.metric}`;
        break;
      }
    }
    const queue = entrants.map((candidate) => trialOf(search, candidate, rung));
    stopped = await conduct.tryAll(queue, (outcome) => outcomes.push(outcome));
    if (stopped !== undefined) break;
  }
  return { standings: standings(outcomes, search.mode), spent: conduct.spent, stopped };
}

class Conduct {
  readonly #purse: Purse;
  readonly #now: () => number;
  /** Runs of each trial that are there, by the name of its plan, in the order of submission. */
  readonly #known = new Map<string, RunSummary[]>();
  readonly #over = new Map<string, EndedRun>();
  #startedAt: number | undefined;

  constructor(
    private readonly search: Search,
    private readonly desk: TrialDesk,
    private readonly options: ConductOptions,
  ) {
    this.#purse = new Purse(search.budget);
    this.#now = options.now ?? Date.now;
  }

  get spent(): Cost {
    return this.#purse.spent;
  }

  /** Finds what is there, and what it has cost. Trials that go on are followed before anything new is begun. */
  async takeUp(): Promise<void> {
    for (const summary of await this.desk.known()) {
      this.#startedAt ??= Date.parse(summary.submittedAt);
      this.#known.set(summary.name, [...(this.#known.get(summary.name) ?? []), summary]);
      if (isOver({ summary })) this.#settle(await this.desk.ended(summary.run, () => undefined));
    }
  }

  /**
   * Tries all, at most so many at once.
   * @returns why some were not begun, when the budget ends before them
   * @throws ClaraError the first failure of the search itself; trials that go on are not waited for
   */
  async tryAll(trials: readonly Trial[], onOutcome: (outcome: Outcome) => void): Promise<string | undefined> {
    const queue = [...trials];
    const running = new Set<Promise<void>>();
    const failures: unknown[] = [];
    while (queue.length > 0 || running.size > 0) {
      while (queue.length > 0 && running.size < this.options.parallel) {
        const refusal = this.#refusal(queue[0]!);
        if (refusal !== undefined && running.size === 0) return refusal;
        if (refusal !== undefined) break;
        const trial = queue.shift()!;
        // One submission after another, so that the coordinator lists them in this order.
        const submitted = await this.#submit(trial);
        if (typeof submitted !== 'string') {
          onOutcome(submitted);
          continue;
        }
        const following: Promise<void> = this.#follow(trial, submitted)
          .then(onOutcome, (error: unknown) => void failures.push(error))
          .finally(() => running.delete(following));
        running.add(following);
      }
      if (running.size > 0) await Promise.race(running);
      if (failures.length > 0) throw failures[0];
    }
    return undefined;
  }

  /** A trial that is there already costs nothing more. */
  #refusal(trial: Trial): string | undefined {
    const runs = this.#known.get(trial.name) ?? [];
    if (runs.length > this.#interrupted(trial)) return undefined;
    return this.#purse.refusal(trial.rounds, this.#startedAt === undefined ? 0 : this.#now() - this.#startedAt);
  }

  /** How often this search has aborted the trial on its way out. */
  #interrupted({ name }: Trial): number {
    const runs = this.#known.get(name) ?? [];
    return runs.filter(({ state, reason }) => state === 'aborted' && reason === INTERRUPTED).length;
  }

  /** @returns the run, or what became of a trial that the coordinator refused */
  async #submit(trial: Trial): Promise<string | Outcome> {
    const token = submitTokenOf(this.search, trial, this.#interrupted(trial) + 1);
    try {
      const { run, alreadySubmitted } = await this.desk.submit(trialPlan(this.search, trial), token);
      this.#startedAt ??= this.#now();
      this.#purse.reserve(run, trial.rounds);
      this.options.tell({ kind: 'submitted', trial, run, alreadySubmitted });
      return run;
    } catch (error) {
      // What only the coordinator can see, such as tensors that a model does not have: whether another candidate has it too, its
      // own submission tells.
      if (!hasCode(error, 'invalid-input')) throw error;
      const outcome = refusedOutcome(trial, error.message);
      this.options.tell({ kind: 'ended', trial, outcome });
      return outcome;
    }
  }

  async #follow(trial: Trial, run: string): Promise<Outcome> {
    const { tell } = this.options;
    const ended =
      this.#over.get(run) ?? (await this.desk.ended(run, (view) => tell({ kind: 'progress', trial, view })));
    this.#settle(ended);
    const outcome = outcomeOf(trial, ended, this.search.metric);
    if (outcome.reason === `aborted: ${INTERRUPTED}`) {
      throw new ClaraError('cancelled', `run ${run} was aborted by an interrupted search; start the search again`);
    }
    tell({ kind: 'ended', trial, outcome });
    return outcome;
  }

  #settle(ended: EndedRun): void {
    const { view, bytes } = ended;
    this.#over.set(view.summary!.run, ended);
    this.#purse.settle(view.summary!.run, { rounds: view.rounds.length, bytes });
  }
}
