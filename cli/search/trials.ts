import { ClaraError, type Fault, hasCode } from '../../base/errors';
import { checkPlan } from '../../federation/plan';
import { submittedCohort } from '../../fl-coordinator/runs/submitted-cohort';
import { type Candidate, withParameters } from './candidates';
import type { Search } from './search-file';

/** The plans of a search: that of each trial, and the one that comes out. */

/** What tells a trial from all others: sent twice it is the same run. */
export interface Trial {
  readonly candidate: Candidate;
  /** From 1. */
  readonly rung: number;
  readonly rounds: number;
  /** Of its plan, which its run's name begins with. */
  readonly name: string;
}

/** What a trial that the search itself aborted has as its reason. */
export const INTERRUPTED = 'the search was interrupted';

const LONGEST_NAME = 63;

export function trialOf(search: Search, candidate: Candidate, rung: number): Trial {
  const name = `${trialPrefix(search)}c${candidate.number}-r${rung}`;
  return { candidate, rung, rounds: search.rungs[rung - 1]!.rounds, name };
}

/** Names of the plans of all trials of a search, and of no other run, begin with it. */
export function trialPrefix({ plan, id }: Search): string {
  return `${String(plan.name)}-${id}-`;
}

/** @param attempt from 1: how often the trial was begun, with those that the search aborted itself */
export function submitTokenOf({ id }: Search, { candidate, rung }: Trial, attempt: number): string {
  return `search ${id} candidate ${candidate.number} rung ${rung} attempt ${attempt}`;
}

/** The plan of a trial: it judges the global model after each round, and nothing else. */
export function trialPlan({ plan }: Search, { candidate, rounds, name }: Trial): unknown {
  const evaluation = { everyRound: true, siteModels: false, crossSite: false };
  return withParameters({ ...plan, name, rounds, evaluation }, candidate.parameters);
}

/** What an investigator submits once the search is over. */
export function candidatePlan({ plan }: Search, candidate: Candidate): unknown {
  return withParameters(plan, candidate.parameters);
}

/** True when the trial is the candidate's own plan in all but its name. */
export function isWhole(search: Search, trial: Trial): boolean {
  const whole = checkPlan(candidatePlan(search, trial.candidate));
  const tried = checkPlan(trialPlan(search, trial));
  return JSON.stringify({ ...whole, name: '' }) === JSON.stringify({ ...tried, name: '' });
}

/**
 * Judges every candidate as the coordinator would.
 * @param enrolledSites undefined when no coordinator was asked
 * @throws ClaraError `invalid-input` with every fault of every candidate
 */
export function checkCandidates(search: Search, enrolledSites?: readonly string[]): void {
  const found = new Map<string, { readonly fault: Fault; readonly candidates: number[] }>();
  for (const candidate of search.candidates) {
    for (const fault of candidateFaults(search, candidate, enrolledSites)) {
      const text = JSON.stringify(fault);
      const known = found.get(text);
      if (known) known.candidates.push(candidate.number);
      else found.set(text, { fault, candidates: [candidate.number] });
    }
  }
  const faults = [...found.values()].map(({ fault, candidates }) =>
    // What is wrong with all of them is wrong with the plan.
    candidates.length === search.candidates.length
      ? fault
      : { ...fault, path: `${fault.path} of ${namesOf(candidates)}` },
  );
  const longest = trialOf(search, search.candidates.at(-1)!, search.rungs.length).name.length;
  const name = String(search.plan.name);
  if (longest > LONGEST_NAME) {
    const most = LONGEST_NAME - (longest - name.length);
    faults.push({ path: 'name', value: name, rule: `must have at most ${most} characters: trials are named after it` });
  }
  if (faults.length > 0) throw ClaraError.ofFaults('the search', faults);
}

function candidateFaults(search: Search, candidate: Candidate, enrolledSites: readonly string[] | undefined): Fault[] {
  const outcome = withFaults(() => checkPlan(candidatePlan(search, candidate)));
  if (!outcome.plan) return [...outcome.faults];
  const { plan } = outcome;
  const faults: Fault[] = [];
  if (plan.statistics) {
    faults.push({ path: 'statistics', rule: 'trains nothing, so there is nothing to search; remove it' });
  }
  if (enrolledSites) faults.push(...withFaults(() => submittedCohort(plan, enrolledSites)).faults);
  return faults;
}

function withFaults<T>(judge: () => T): { readonly plan?: T; readonly faults: readonly Fault[] } {
  try {
    return { plan: judge(), faults: [] };
  } catch (error) {
    if (!hasCode(error, 'invalid-input')) throw error;
    return { faults: error.faults };
  }
}

const NAMED = 5;

function namesOf(candidates: readonly number[]): string {
  const named = candidates.slice(0, NAMED).join(', ');
  const others = candidates.length - NAMED;
  return `candidate${candidates.length === 1 ? '' : 's'} ${named}${others > 0 ? ` and ${others} others` : ''}`;
}
