import { deriveSeed, seededRandom } from '../../base/random';
import { sampleOf } from '../../federation/cohort';
import type { RunState } from './run-state';

/** Which sites a stage asks. */

export function approvedSites(state: RunState): readonly string[] {
  return state.candidates.filter((site) => state.answers.get(site)?.kind === 'approved');
}

/** Approved sites that are not still training for an earlier round. */
export function freeSites(state: RunState): readonly string[] {
  return approvedSites(state).filter((site) => !state.going.late.has(site));
}

export interface RoundCohort {
  readonly cohort: readonly string[];
  /** With which it was drawn, when it was. */
  readonly seed?: number;
}

/** The sites of a federated round, in site order. */
export function roundCohort(state: RunState, round: number): RoundCohort {
  const { plan } = state;
  if (plan.mode === 'asynchronous') return { cohort: approvedSites(state) };
  const free = freeSites(state);
  // Late training is given up when the round could not reach its quorum without its sites.
  const pool = plan.quorum !== 'all' && free.length < plan.quorum ? approvedSites(state) : free;
  const size = sampleOf(plan.cohort);
  if (size === undefined || size >= pool.length) return { cohort: pool };
  const seed = deriveSeed(plan.seed, 'cohort', round);
  return { cohort: drawn(pool, size, plan.mandatory ?? [], seed), seed };
}

/** Mandatory sites, and then others without repetition, each as likely as the next (Fisher and Yates). */
function drawn(pool: readonly string[], size: number, mandatory: readonly string[], seed: number): readonly string[] {
  const random = seededRandom(seed);
  const chosen = new Set(pool.filter((site) => mandatory.includes(site)));
  const others = pool.filter((site) => !chosen.has(site));
  while (chosen.size < size) chosen.add(others.splice(random.integer(others.length), 1)[0]!);
  return pool.filter((site) => chosen.has(site));
}
