import { createHash } from 'node:crypto';
import { ClaraError, hasCode } from '../../base/errors';
import { showVersion } from '../../federation/model-name';
import type { Plan } from '../../federation/plan';
import { readStoredLayout } from '../aggregation/stored-layout';
import type { ObjectStore } from '../storage/object-store';
import { Conductor, type ConductorOptions } from './conductor';
import { loadRun, stampEvent, takeOverRun } from './journal';
import { modelKey, uploadedModelKey } from './object-names';
import { steadyTime } from './run-clock';
import type { RunState, StartModel } from './run-state';
import { Submissions } from './submissions';
import { submittedCohort } from './submitted-cohort';
import { namesTensors, transferFaults } from './transfer-faults';

export interface Submission {
  readonly plan: Plan;
  readonly operator: string;
  /** Chosen by the client: repeating a submission with the same token answers the same run. */
  readonly submitToken: string;
  /** Sites that are enrolled now, for plans whose cohort is `all`. */
  readonly enrolledSites: readonly string[];
}

export interface Submitted {
  readonly run: string;
  readonly alreadySubmitted: boolean;
}

export interface RunRegisterOptions extends ConductorOptions {
  /** A version in the registry, by which plans may name where they start. @default nothing is registered */
  readonly registered?: (model: string, version: number) => Pick<StartModel, 'digest' | 'bytes'> | undefined;
}

const RUN_ID = /^runs\/([^/]+)\//;

/** All runs of a store, each with its conductor. */
export class RunRegister {
  readonly #runs = new Map<string, Conductor>();
  #submitting: Promise<unknown> = Promise.resolve();
  #submissions: Submissions | undefined;

  constructor(private readonly options: RunRegisterOptions) {}

  /**
   * Replays every journal, closes those of unfinished runs to earlier leaders unless their end was orderly, and lets the runs
   * go on. @throws ClaraError `corrupt`, naming the damaged event
   */
  async load(): Promise<void> {
    const { store, now = steadyTime, term, afterOrderlyEnd } = this.options;
    const fencing = afterOrderlyEnd ? undefined : term;
    // First, since it may complete a submission.
    this.#submissions = await Submissions.open(store, now, term?.epoch ?? 0, fencing);
    for (const run of await runsIn(store)) {
      const state = fencing ? await takeOverRun(store, run, fencing, now) : await loadRun(store, run);
      if (state) this.#runs.set(run, new Conductor(state, this.options));
    }
    for (const conductor of this.#runs.values()) conductor.start();
  }

  /** Makes the run durable and starts it. One after another, so that a submission sent twice at once is one run too. */
  submit(submission: Submission): Promise<Submitted> {
    const result = this.#submitting.then(() => this.#submit(submission));
    this.#submitting = result.catch(() => undefined);
    return result;
  }

  async #submit(submission: Submission): Promise<Submitted> {
    const { plan, operator, submitToken } = submission;
    const { store, now = steadyTime, term } = this.options;
    this.#submissions ??= await Submissions.open(store, now, 0);
    await this.#settleSubmission(); // One before may have found the disk full.
    const run = `${plan.name}-${createHash('sha256').update(submitToken).digest('hex').slice(0, 8)}`;
    const known = this.#runs.get(run);
    if (known) return { run: this.#sameSubmission(known.state, submission), alreadySubmitted: true };
    const cohort = submittedCohort(plan, submission.enrolledSites);
    const start = await this.#startOf(plan);
    if (start) {
      if (namesTensors(plan)) {
        const faults = transferFaults(plan, await readStoredLayout(store, start.key));
        if (faults.length > 0) throw ClaraError.ofFaults('the plan', faults);
      }
      await this.options.checkRoom?.(plan, cohort.length, start.bytes);
    }
    const event = { type: 'run-submitted' as const, plan, cohort, operator, submitToken, ...(start && { start }) };
    const began = performance.now();
    await this.#submissions.record(stampEvent(run, undefined, event, now(), term?.epoch));
    this.options.onAppended?.(event, (performance.now() - began) / 1000);
    await this.#settleSubmission();
    return { run, alreadySubmitted: false };
  }

  async #settleSubmission(): Promise<void> {
    const settled = await this.#submissions?.settle();
    if (!settled) return;
    const conductor = new Conductor(settled.next, this.options);
    this.#runs.set(settled.run, conductor);
    this.options.onChange(conductor.state);
    conductor.start();
  }

  /** @throws ClaraError `not-found` */
  get(run: string): Conductor {
    const conductor = this.#runs.get(run);
    if (!conductor)
      throw new ClaraError('not-found', `there is no run ${JSON.stringify(run.slice(0, 100))}; see the list of runs`);
    return conductor;
  }

  has(run: string): boolean {
    return this.#runs.has(run);
  }

  /** In order of submission. */
  all(): readonly Conductor[] {
    return [...this.#runs.values()].sort((a, b) => compareText(a.state.submittedAt, b.state.submittedAt));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#runs.values()].map((conductor) => conductor.close()));
  }

  #sameSubmission(state: RunState, { plan, submitToken }: Submission): string {
    if (state.submitToken === submitToken && JSON.stringify(state.plan) === JSON.stringify(plan)) return state.run;
    throw new ClaraError(
      'already-exists',
      `run ${state.run} was submitted with this token and another plan; choose a new token for a new run`,
    );
  }

  /** The model to start from, unless a trainer makes it. @throws ClaraError `invalid-input` when it is not here */
  async #startOf({ initialModel }: Plan): Promise<StartModel | undefined> {
    switch (initialModel.from) {
      case 'trainer':
        return undefined;
      case 'file': {
        const { sha256 } = initialModel;
        const bytes = await this.#uploadedBytes(sha256);
        return { key: uploadedModelKey(sha256), digest: `sha256:${sha256}`, bytes };
      }
      case 'registry': {
        const { model, version } = initialModel;
        const found = this.options.registered?.(model, version);
        if (found) {
          const { digest, bytes } = found;
          return { key: uploadedModelKey(digest.slice('sha256:'.length)), digest, bytes };
        }
        const rule = 'is not registered here; "clara-fed model list" shows what is';
        const fault = { path: 'initialModel', value: showVersion(initialModel), rule };
        throw ClaraError.ofFaults('the plan', [fault]);
      }
      case 'run': {
        const source = this.#runs.get(initialModel.run)?.state;
        const last = source?.models.at(-1);
        if (source?.outcome?.kind === 'completed' && last) {
          const { round, digest, bytes } = last;
          return { key: modelKey(initialModel.run, round), digest, bytes, round };
        }
        const rule = !source
          ? 'must be a run of this coordinator; see the list of runs'
          : source.outcome?.kind === 'completed'
            ? 'is a run of statistics, which has no model'
            : 'must have completed; it has not';
        throw ClaraError.ofFaults('the plan', [{ path: 'initialModel.run', value: initialModel.run, rule }]);
      }
    }
  }

  async #uploadedBytes(sha256: string): Promise<number> {
    try {
      return (await this.options.store.head(uploadedModelKey(sha256))).size;
    } catch (error) {
      if (!hasCode(error, 'not-found')) throw error;
      const rule =
        'is no model that was uploaded here; name the file as initialModel.path, and "run submit" uploads it';
      throw ClaraError.ofFaults('the plan', [{ path: 'initialModel.sha256', value: sha256, rule }]);
    }
  }
}

/** The runs of a store, by their names. */
export async function runsIn(store: ObjectStore): Promise<string[]> {
  const runs: string[] = [];
  for (let after = ''; ; ) {
    let found: string | undefined;
    for await (const { key } of store.list('runs/', { after, limit: 1 })) found = RUN_ID.exec(key)?.[1];
    if (found === undefined) return runs;
    runs.push(found);
    // U+FFFF sorts behind every character of a key: skips the rest of this run.
    after = `runs/${found}/\uffff`;
  }
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
