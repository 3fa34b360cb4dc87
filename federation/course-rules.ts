import { type Cohort, namedSites, sampleOf } from './cohort';
import { countsHeads } from './combiner-needs';
import type { Buffering, EarlyStop, MODES } from './course';
import type { Strategy } from './strategy';

/** Rules between the keys that say how rounds follow each other; part of plan-rules.ts. */

export interface CoursePlan {
  readonly cohort: Cohort;
  readonly mandatory?: readonly string[] | undefined;
  readonly quorum: 'all' | number;
  readonly lateUpdates: 'drop' | 'next-round' | 'buffer';
  readonly mode: (typeof MODES)[number];
  readonly buffer?: Buffering | undefined;
  readonly strategy: Strategy;
  readonly siteWeights: Readonly<Record<string, number>>;
  readonly evaluation: { readonly everyRound: boolean; readonly siteModels: boolean; readonly crossSite: boolean };
  readonly earlyStop?: EarlyStop | undefined;
}

export interface BrokenRule {
  readonly path: readonly (string | number)[];
  readonly rule: string;
}

export function courseRules(plan: CoursePlan): BrokenRule[] {
  const broken = [...mandatoryRules(plan), ...bufferRules(plan)];
  if (plan.lateUpdates !== 'drop' && plan.mode === 'synchronous') broken.push(...lateRules(plan));
  if (plan.mode !== 'synchronous') broken.push(...otherModeRules(plan));
  if (plan.mode === 'asynchronous') broken.push(...asynchronousRules(plan));
  if (plan.mode === 'cyclic') broken.push(...cyclicRules(plan));
  if (plan.earlyStop && !plan.evaluation.everyRound) {
    const rule = 'needs the global model evaluated after each round; leave evaluation.everyRound true';
    broken.push({ path: ['earlyStop'], rule });
  }
  return broken;
}

function mandatoryRules({ cohort, mandatory = [], mode }: CoursePlan): BrokenRule[] {
  const broken: BrokenRule[] = [];
  const sites = namedSites(cohort);
  mandatory.forEach((site, index) => {
    if (mandatory.indexOf(site) !== index) {
      broken.push({ path: ['mandatory', index], rule: `names ${site} twice; name each site once` });
    } else if (sites && !sites.includes(site)) {
      broken.push({ path: ['mandatory', index], rule: 'is not a site of the cohort' });
    }
  });
  const sample = sampleOf(cohort);
  if (sample !== undefined && mandatory.length > sample) {
    broken.push({ path: ['mandatory'], rule: `cannot name more sites than the ${sample} that a round asks` });
  }
  if (mode === 'asynchronous' && mandatory.length > 0) {
    broken.push({ path: ['mandatory'], rule: 'does not go with an asynchronous run, whose rounds wait for no site' });
  }
  return broken;
}

function bufferRules({ mode, lateUpdates, buffer }: CoursePlan): BrokenRule[] {
  const isUsed = mode === 'asynchronous' || lateUpdates === 'buffer';
  if (isUsed && !buffer) {
    return [{ path: ['buffer'], rule: 'must say how many updates are combined, such as {size: 3}' }];
  }
  if (!isUsed && buffer) {
    const rule = 'is for asynchronous runs and for lateUpdates: buffer; leave it out, or choose one of them';
    return [{ path: ['buffer'], rule }];
  }
  return [];
}

/** An update of an earlier round is discounted, and its site may have a newer one beside it. */
function weightRules({ strategy }: CoursePlan, what: string): BrokenRule[] {
  const broken: BrokenRule[] = [];
  if (countsHeads(strategy.combiner)) {
    const rule = `the ${strategy.combiner.kind} counts each update as a site's one vote, which does not go with ${what}; choose a weighted mean`;
    broken.push({ path: ['strategy', 'combiner'], rule });
  }
  if (strategy.clientRule.kind === 'scaffold') {
    const rule = `needs the control variates of one round, which does not go with ${what}; choose another client rule`;
    broken.push({ path: ['strategy', 'clientRule'], rule });
  }
  return broken;
}

function lateRules(plan: CoursePlan): BrokenRule[] {
  const broken = weightRules(plan, 'late updates');
  if (plan.quorum === 'all') {
    const rule = 'with a quorum of all, a round whose update is late fails; set a quorum below the size of the cohort';
    broken.push({ path: ['lateUpdates'], rule });
  }
  return broken;
}

function otherModeRules({ mode, lateUpdates, evaluation }: CoursePlan): BrokenRule[] {
  const broken: BrokenRule[] = [];
  if (lateUpdates !== 'drop') {
    broken.push({ path: ['lateUpdates'], rule: `has no meaning in a run that is ${mode}; leave it out` });
  }
  if (evaluation.crossSite) {
    const rule = `judges the updates of one last round, which a run that is ${mode} does not have; leave it out`;
    broken.push({ path: ['evaluation', 'crossSite'], rule });
  }
  return broken;
}

function asynchronousRules(plan: CoursePlan): BrokenRule[] {
  const broken = weightRules(plan, 'an asynchronous run');
  if (sampleOf(plan.cohort) !== undefined) {
    broken.push({
      path: ['cohort', 'sample'],
      rule: 'is for rounds; in an asynchronous run every site trains all the time',
    });
  }
  if (plan.evaluation.siteModels) {
    const rule = 'compares as many rounds of each site, which an asynchronous run does not have; leave it out';
    broken.push({ path: ['evaluation', 'siteModels'], rule });
  }
  if (plan.buffer && plan.quorum !== 'all' && plan.quorum > plan.buffer.size) {
    broken.push({ path: ['quorum'], rule: `cannot exceed the ${plan.buffer.size} updates of the buffer` });
  }
  return broken;
}

function cyclicRules({ strategy, siteWeights }: CoursePlan): BrokenRule[] {
  const { combiner, clip, clientRule } = strategy;
  const broken: BrokenRule[] = [];
  if (combiner.kind !== 'weighted-mean' || clip !== undefined || clientRule.kind === 'scaffold') {
    broken.push({ path: ['strategy'], rule: 'nothing is combined in a cyclic run; choose fedavg or leave it out' });
  }
  if (Object.keys(siteWeights).length > 0) {
    broken.push({ path: ['siteWeights'], rule: 'nothing is combined in a cyclic run; remove them' });
  }
  return broken;
}
