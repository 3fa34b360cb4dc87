import { type Cohort, namedSites, sampleOf, sitesOfARound } from './cohort';
import { countsHeads, fewestUpdates } from './combiner-needs';
import { type BrokenRule, type CoursePlan, courseRules } from './course-rules';
import { isAsItIs, type Wire } from './encodings/encoding';
import type { NORMALISATION_RULES } from './normalisation';
import type { Strategy } from './strategy';

/**
 * Combinations that can never work or that mean something else than they say. They are refused when a plan is submitted,
 * with the reason, instead of failing in round one.
 */

interface RuledPlan extends CoursePlan {
  readonly strategy: Strategy;
  readonly siteWeights: Readonly<Record<string, number>>;
}

export function impossibleCombinations(plan: RuledPlan): BrokenRule[] {
  return [...cohortRules(plan), ...combinerRules(plan), ...courseRules(plan)];
}

/** How many sites contribute to a round at least; undefined while nobody knows how many sites `all` are. */
export function fewestContributors({
  quorum,
  cohort,
  mode,
}: Pick<RuledPlan, 'quorum' | 'cohort' | 'mode'>): number | undefined {
  // A fast site may fill the buffer alone; in a cyclic run each site gets the update of the one before.
  if (mode !== 'synchronous') return 1;
  return quorum === 'all' ? sitesOfARound(cohort) : quorum;
}

/** A run of statistics trains nothing, so nothing about models may be asked of it. */
export function statisticsRules(plan: {
  readonly statistics?: unknown;
  readonly rounds: number;
  readonly initialModel: { readonly from: string };
  readonly evaluation: { readonly siteModels: boolean; readonly crossSite: boolean };
  readonly normalisationStatistics: (typeof NORMALISATION_RULES)[number];
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
  if (plan.normalisationStatistics !== 'average') {
    const rule = 'does not go with statistics, which use no model; leave it out';
    broken.push({ path: ['normalisationStatistics'], rule });
  }
  for (const matrix of ['siteModels', 'crossSite'] as const) {
    if (!plan.evaluation[matrix]) continue;
    broken.push({ path: ['evaluation', matrix], rule: 'does not go with statistics; leave it out' });
  }
  return broken;
}

/** What is frozen is the initial model's, so there must be one from which something was learned. */
export function transferRules(plan: {
  readonly initialModel: { readonly from: string; readonly reinitialise?: readonly string[] };
  readonly frozenTensors: readonly string[];
  readonly statistics?: unknown;
}): BrokenRule[] {
  if (plan.frozenTensors.length === 0) return [];
  if (plan.statistics !== undefined) {
    return [{ path: ['frozenTensors'], rule: 'does not go with statistics, which use no model; leave it out' }];
  }
  if (plan.initialModel.from !== 'trainer') return [];
  const rule =
    'would freeze random weights, since the trainer makes them; start from a run, a file or a registered model';
  return [{ path: ['frozenTensors'], rule }];
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

/** Combiners, rebased updates and the next site of a cyclic round see decoded updates; what cannot be decoded so is refused. */
export function wireRules(plan: {
  readonly strategy: Pick<Strategy, 'clientRule'>;
  readonly mode: CoursePlan['mode'];
  readonly statistics?: unknown;
  readonly wire: Wire;
}): BrokenRule[] {
  const { up, down } = plan.wire;
  if (plan.statistics !== undefined && !(isAsItIs(up) && isAsItIs(down))) {
    return [{ path: ['wire'], rule: 'does not go with statistics, which move no model; leave it out' }];
  }
  const broken: BrokenRule[] = [];
  if (plan.strategy.clientRule.kind === 'scaffold' && !isAsItIs(up)) {
    const rule =
      'cannot be encoded with scaffold, whose updates carry control variates; use float32 or another strategy';
    broken.push({ path: ['wire', 'up'], rule });
  }
  if (plan.mode === 'cyclic' && up.encoding === 'top-k') {
    const rule =
      'top-k does not go with mode cyclic, in which the next site goes on from what was sent, and most of each change would wait at its site; use {encoding: int8, delta: true}, or mode synchronous';
    broken.push({ path: ['wire', 'up'], rule });
  }
  return broken;
}

function cohortRules(plan: RuledPlan): BrokenRule[] {
  const broken: BrokenRule[] = [];
  const sites = namedSites(plan.cohort);
  const path = sampleOf(plan.cohort) === undefined ? ['cohort'] : ['cohort', 'from'];
  sites?.forEach((site, index) => {
    if (sites.indexOf(site) !== index)
      broken.push({ path: [...path, index], rule: `names ${site} twice; name each site once` });
  });
  broken.push(...sizeRules(plan.cohort, plan.quorum));
  for (const site of Object.keys(plan.siteWeights)) {
    if (sites && !sites.includes(site)) {
      broken.push({ path: ['siteWeights', site], rule: 'is not a site of the cohort' });
    }
  }
  return broken;
}

function sizeRules(cohort: Cohort, quorum: 'all' | number): BrokenRule[] {
  const sample = sampleOf(cohort);
  const available = namedSites(cohort)?.length ?? Number.POSITIVE_INFINITY;
  const asked = sitesOfARound(cohort) ?? Number.POSITIVE_INFINITY;
  const broken: BrokenRule[] = [];
  if (sample !== undefined && sample > available) {
    broken.push({ path: ['cohort', 'sample'], rule: `cannot exceed the ${available} sites that it is drawn from` });
  }
  if (quorum !== 'all' && quorum > asked) {
    const what = sample === undefined ? `the ${asked} sites of the cohort` : `the ${asked} sites that a round asks`;
    broken.push({ path: ['quorum'], rule: `cannot exceed ${what}` });
  }
  return broken;
}

function combinerRules(plan: RuledPlan): BrokenRule[] {
  const broken: BrokenRule[] = [];
  const { clientRule, clip, combiner } = plan.strategy;
  const { updates, rule } = fewestUpdates(combiner);
  const fewest = fewestContributors(plan);
  // What is no round of many sites has rules of its own.
  if (plan.mode === 'synchronous' && fewest !== undefined && fewest < updates) {
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
