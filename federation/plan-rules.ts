import { countsHeads, fewestUpdates } from './combiner-needs';
import { isAsItIs, type Wire } from './encodings/encoding';
import type { Strategy } from './strategy';

/**
 * Combinations that can never work or that mean something else than they say. They are refused when a plan is submitted,
 * with the reason, instead of failing in round one.
 */

interface RuledPlan {
  readonly cohort: 'all' | readonly string[];
  readonly quorum: 'all' | number;
  readonly strategy: Strategy;
  readonly siteWeights: Readonly<Record<string, number>>;
}

interface BrokenRule {
  readonly path: readonly (string | number)[];
  readonly rule: string;
}

export function impossibleCombinations(plan: RuledPlan): BrokenRule[] {
  const broken: BrokenRule[] = [];
  if (plan.cohort !== 'all') broken.push(...cohortRules(plan, plan.cohort));
  broken.push(...combinerRules(plan));
  return broken;
}

/** How many sites contribute to a round at least; undefined while nobody knows how many sites `all` are. */
export function fewestContributors({ quorum, cohort }: Pick<RuledPlan, 'quorum' | 'cohort'>): number | undefined {
  if (quorum !== 'all') return quorum;
  return cohort === 'all' ? undefined : cohort.length;
}

/** A run of statistics trains nothing, so nothing about models may be asked of it. */
export function statisticsRules(plan: {
  readonly statistics?: unknown;
  readonly rounds: number;
  readonly initialModel: { readonly from: string };
  readonly evaluation: { readonly siteModels: boolean; readonly crossSite: boolean };
}): BrokenRule[] {
  if (plan.statistics === undefined) return [];
  const broken: BrokenRule[] = [];
  if (plan.rounds !== 1) broken.push({ path: ['rounds'], rule: 'must be 1 with statistics, which are asked for once' });
  if (plan.initialModel.from !== 'trainer') {
    broken.push({
      path: ['initialModel', 'from'],
      rule: 'does not go with statistics, which use no model; leave it out',
    });
  }
  for (const matrix of ['siteModels', 'crossSite'] as const) {
    if (!plan.evaluation[matrix]) continue;
    broken.push({ path: ['evaluation', matrix], rule: 'does not go with statistics; leave it out' });
  }
  return broken;
}

/** An update of scaffold carries its site's control variate, which is no part of a model and nobody else's business. */
export function matrixRules(plan: {
  readonly strategy: Pick<Strategy, 'clientRule'>;
  readonly evaluation: { readonly crossSite: boolean };
}): BrokenRule[] {
  if (plan.strategy.clientRule.kind !== 'scaffold' || !plan.evaluation.crossSite) return [];
  const rule = 'cannot be used with scaffold, whose updates carry control variates; use siteModels or another strategy';
  return [{ path: ['evaluation', 'crossSite'], rule }];
}

/** Every combiner works on decoded updates, so it may stand beside any encoding; only control variates cannot be encoded. */
export function wireRules(plan: {
  readonly strategy: Pick<Strategy, 'clientRule'>;
  readonly statistics?: unknown;
  readonly wire: Wire;
}): BrokenRule[] {
  const { up, down } = plan.wire;
  if (plan.statistics !== undefined && !(isAsItIs(up) && isAsItIs(down))) {
    return [{ path: ['wire'], rule: 'does not go with statistics, which move no model; leave it out' }];
  }
  if (plan.strategy.clientRule.kind !== 'scaffold' || isAsItIs(up)) return [];
  const rule = 'cannot be encoded with scaffold, whose updates carry control variates; use float32 or another strategy';
  return [{ path: ['wire', 'up'], rule }];
}

function cohortRules(plan: RuledPlan, cohort: readonly string[]): BrokenRule[] {
  const broken: BrokenRule[] = [];
  cohort.forEach((site, index) => {
    if (cohort.indexOf(site) !== index)
      broken.push({ path: ['cohort', index], rule: `names ${site} twice; name each site once` });
  });
  if (plan.quorum !== 'all' && plan.quorum > cohort.length) {
    broken.push({ path: ['quorum'], rule: `cannot exceed the ${cohort.length} sites of the cohort` });
  }
  for (const site of Object.keys(plan.siteWeights)) {
    if (!cohort.includes(site)) broken.push({ path: ['siteWeights', site], rule: 'is not a site of the cohort' });
  }
  return broken;
}

function combinerRules(plan: RuledPlan): BrokenRule[] {
  const broken: BrokenRule[] = [];
  const { clientRule, clip, combiner } = plan.strategy;
  const { updates, rule } = fewestUpdates(combiner);
  const fewest = fewestContributors(plan);
  if (fewest !== undefined && fewest < updates) {
    broken.push({
      path: plan.quorum === 'all' ? ['cohort'] : ['quorum'],
      rule: `${rule}; raise it or choose another combiner`,
    });
  }
  if (clientRule.kind === 'scaffold' && (combiner.kind !== 'weighted-mean' || clip !== undefined)) {
    broken.push({
      path: ['strategy', combiner.kind === 'weighted-mean' ? 'clip' : 'combiner'],
      rule: 'cannot be used with scaffold: control variates would be averaged all the same; choose a plain weighted mean',
    });
  }
  if (countsHeads(combiner) && Object.keys(plan.siteWeights).length > 0) {
    broken.push({
      path: ['siteWeights'],
      rule: `the ${combiner.kind} has no weights; remove them or choose a weighted mean`,
    });
  }
  return broken;
}
