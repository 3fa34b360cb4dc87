import { ClaraError } from '../base/errors';
import { namedSites } from '../federation/cohort';
import { updatesAveraged } from '../federation/combiner-needs';
import { checkPlan, type Plan } from '../federation/plan';
import { featuresOfPlan } from '../federation/plan-needs';
import { fewestContributors } from '../federation/plan-rules';
import { TRAINER_FEATURES, type TrainerFeature } from '../federation/trainer-contract';
import type { SiteConfiguration } from './configuration';
import { Schedule } from './hours';

/**
 * The site's own policy: whether a run may use this site. It reads the plan that the coordinator sends and the site's
 * configuration, nothing else; every rule that refuses is named, so that an investigator mends a plan once.
 */
export type PolicyAnswer =
  /** `warning`: what may go wrong all the same, for people; empty when nothing is seen. */
  | { readonly approved: true; readonly plan: Plan; readonly warning: string }
  | { readonly approved: false; readonly reason: string };

type PolicySettings = Pick<SiteConfiguration, 'id' | 'trainer' | 'limits' | 'policy' | 'statistics'>;

/**
 * Answers a proposal. Never throws: a plan that cannot be read is refused with the fault.
 * @param now milliseconds since 1970
 */
export function answerProposal(planJson: string, site: PolicySettings, now = Date.now()): PolicyAnswer {
  let plan: Plan;
  try {
    plan = checkPlan(JSON.parse(planJson));
  } catch (error) {
    return { approved: false, reason: `${site.id} cannot read the plan: ${ClaraError.from(error).message}` };
  }
  const hours = hoursVerdict(plan, site, now);
  const broken = [...brokenRules(plan, site), ...hours.broken];
  if (broken.length > 0) return { approved: false, reason: broken.join('; ') };
  return { approved: true, plan, warning: hours.warning };
}

/** An MMAR trains as its own configuration says. */
function supportsOf(trainer: SiteConfiguration['trainer']): readonly TrainerFeature[] {
  if (trainer.adapter === 'reference') return TRAINER_FEATURES;
  return trainer.adapter === 'mmar' ? [] : trainer.supports;
}

function brokenRules(plan: Plan, site: PolicySettings): string[] {
  const { id, trainer, limits, policy } = site;
  const broken: string[] = statisticsFaults(plan, site);
  if (policy.approve === 'never') broken.push(`${id} approves no runs (policy.approve is never)`);
  if (plan.trainer.name !== trainer.name) {
    broken.push(`the plan asks for trainer ${plan.trainer.name}, but ${id} runs ${trainer.name} (trainer.name)`);
  }
  const supported: readonly string[] = supportsOf(trainer);
  for (const feature of featuresOfPlan(plan)) {
    if (supported.includes(feature)) continue;
    broken.push(
      `${askerOf(feature, plan)} needs a trainer that supports ${feature}, which ${id} does not say of ${trainer.name} (trainer.supports)`,
    );
  }
  if (plan.rounds > limits.maxRounds) {
    broken.push(`the plan has ${plan.rounds} rounds, but ${id} allows ${limits.maxRounds} (limits.maxRounds)`);
  }
  const contributors = fewestContributors(plan);
  const fewest = contributors && updatesAveraged(plan.strategy.combiner, contributors);
  if (limits.minimumCohort > 1 && (fewest ?? 0) < limits.minimumCohort) {
    const found =
      fewest === undefined
        ? 'the plan does not say how many updates are averaged at least (name the cohort or set a quorum)'
        : `the plan averages as few as ${fewest} ${fewest === 1 ? 'update' : 'updates'}`;
    broken.push(`${found}, but ${id} asks for ${limits.minimumCohort} (limits.minimumCohort)`);
  }
  if (limits.minimumCohort > 1 && plan.normalisationStatistics === 'first') {
    broken.push(
      `the plan takes the statistics of batch normalisation from one site, not averaged (normalisationStatistics: first), but ${id} asks for ${limits.minimumCohort} in an average (limits.minimumCohort)`,
    );
  }
  if (limits.minimumCohort > 1 && plan.evaluation.crossSite) {
    broken.push(
      `the plan shows each site's last update to the others, not averaged (evaluation.crossSite), but ${id} asks for ${limits.minimumCohort} in an average (limits.minimumCohort)`,
    );
  }
  if (namedSites(plan.cohort)?.includes(id) === false) {
    broken.push(`the plan's cohort does not name ${id}`);
  }
  return broken;
}

/** A task that comes outside of the site's hours waits for them, but not beyond its deadline. */
function hoursVerdict(plan: Plan, { id, limits, policy }: PolicySettings, now: number) {
  // What trains beyond its deadline in plans with late updates is not lost.
  if (!policy.hours || plan.mode === 'asynchronous' || plan.lateUpdates !== 'drop') return { broken: [], warning: '' };
  const schedule = new Schedule(policy.hours);
  const patience = Math.min(plan.deadline, limits.taskTimeout);
  const what = `a task of the plan waits ${patience / 60_000} min at most (deadline of the plan, limits.taskTimeout of ${id})`;
  const next = schedule.nextOpening(now);
  // A run waits for its approvals as long as its deadline, so its first stage is over by then, whatever else happens.
  if (next >= now + plan.deadline + patience) {
    const opens = schedule.show(next);
    return { broken: [`${what}, but ${id} may not work before ${opens} (policy.hours)`], warning: '' };
  }
  const closed = schedule.longestClosedMillis;
  if (closed < patience) return { broken: [], warning: '' };
  return {
    broken: [],
    warning: `${what}, but ${id} may not work for up to ${closed / 60_000} min on end (policy.hours): rounds that begin then are declined`,
  };
}

function askerOf(feature: TrainerFeature, { strategy }: Plan): string {
  if (feature === 'frozen') return 'a plan with frozenTensors';
  return feature === 'reinitialise' ? 'a plan with initialModel.reinitialise' : `the strategy ${strategy.name}`;
}

/** What this site's policy on statistics says of a plan. Asked again before each task: the policy may have changed since. */
export function statisticsFaults(
  plan: Plan,
  { id, statistics }: Pick<SiteConfiguration, 'id' | 'statistics'>,
): string[] {
  if (!plan.statistics) return [];
  const broken: string[] = [];
  if (!statistics.allow) broken.push(`${id} tells no statistics (statistics.allow is false)`);
  if (plan.statistics.bins > statistics.maximumBins) {
    broken.push(
      `the plan asks for ${plan.statistics.bins} bins, but ${id} tells ${statistics.maximumBins} at most (statistics.maximumBins)`,
    );
  }
  return broken;
}
