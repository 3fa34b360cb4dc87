import { ClaraError } from '../../base/errors';
import { namedSites, withSites } from '../../federation/cohort';
import type { Plan } from '../../federation/plan';
import { impossibleCombinations } from '../../federation/plan-rules';

/**
 * The sites of a plan that is submitted now. Their order is sorted, whatever order the plan names them in: it decides the order
 * of aggregation.
 * @throws ClaraError `invalid-input` with every fault that comes of who is enrolled
 */
export function submittedCohort(plan: Plan, enrolledSites: readonly string[]): string[] {
  const named = namedSites(plan.cohort);
  const cohort = [...(named ?? enrolledSites)].sort();
  const unknown = cohort.filter((site) => !enrolledSites.includes(site));
  const faults = unknown.map((site) => ({
    path: 'cohort',
    value: site,
    rule: 'is not an enrolled site; invite it, or correct the name',
  }));
  if (cohort.length === 0) faults.push({ path: 'cohort', value: 'all', rule: 'no site is enrolled; invite one first' });
  // With the sites known, rules that depend on their number can be judged for `all` too.
  if (!named && cohort.length > 0) {
    const known = { ...plan, cohort: withSites(plan.cohort, cohort) };
    for (const { path, rule } of impossibleCombinations(known)) {
      faults.push({ path: path.join('.'), value: `${cohort.length} sites enrolled`, rule });
    }
  }
  if (faults.length > 0) throw ClaraError.ofFaults('the plan', faults);
  return cohort;
}
