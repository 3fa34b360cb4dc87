import type { Plan } from '../../federation/plan';
import { madeAnew } from '../../federation/sent-tensors';
import type { ClosedStage, RunState } from './run-state';
import type { Stage } from './stage';
import { statisticsDigest } from './statistics';

/** Which stage comes after which. A newcomer reads the life of a run here. */

export type NextStep =
  | { readonly kind: 'open'; readonly stage: Stage; readonly cohort: readonly string[] }
  | { readonly kind: 'complete'; readonly digest: string }
  | { readonly kind: 'fail'; readonly reason: string };

/** After approval: the initial model, or straight to round 1 when it is there already. */
export function firstStage(state: RunState, approved: readonly string[]): NextStep | undefined {
  if (state.plan.statistics) return open('statistics', 1, approved);
  if (state.models.length > 0) return open('train', 1, approved);
  // It is here: the coordinator copies that model and publishes it as round 0; nothing to ask of a site.
  if (!startsWithTrainer(state.plan)) return undefined;
  return open('initialise', 0, approved.slice(0, 1));
}

/** After a closed stage; none while a model is being aggregated. */
export function followingStage(state: RunState): NextStep | undefined {
  const last = state.closed.at(-1)!;
  const { round } = last.stage;
  switch (last.stage.kind) {
    case 'initialise':
      if (last.contributors.length === 0) return nextInitialiser(state);
      return state.models.length > 0 ? open('train', 1, approvedSites(state)) : undefined;
    case 'train':
      if (state.models.length <= round) return undefined;
      return state.plan.evaluation.everyRound
        ? open('evaluate', round, approvedSites(state))
        : afterRound(state, round);
    case 'evaluate':
      return afterRound(state, round);
    case 'train-alone':
      // A site that fell out cannot go on alone: it has no weights to go on from.
      if (last.contributors.length > 0 && round < state.plan.rounds) {
        return open('train-alone', round + 1, last.contributors);
      }
      // The matrix belongs to the last round, wherever training alone has ended.
      return last.contributors.length > 0 || state.plan.evaluation.crossSite ? crossEvaluate(state) : complete(state);
    case 'cross-evaluate':
      return complete(state);
    case 'statistics':
      return { kind: 'complete', digest: statisticsDigest(state) };
  }
}

/** Whether a site's trainer makes the first weights, or some of them. */
export function startsWithTrainer(plan: Plan): boolean {
  return plan.initialModel.from === 'trainer' || madeAnew(plan).length > 0;
}

function afterRound(state: RunState, round: number): NextStep {
  if (round < state.plan.rounds) return open('train', round + 1, approvedSites(state));
  const { siteModels, crossSite } = state.plan.evaluation;
  if (siteModels) return open('train-alone', 1, approvedSites(state));
  return crossSite ? crossEvaluate(state) : complete(state);
}

function crossEvaluate(state: RunState): NextStep {
  return open('cross-evaluate', state.plan.rounds, approvedSites(state));
}

function nextInitialiser(state: RunState): NextStep {
  const tried = state.closed.filter((closed) => closed.stage.kind === 'initialise').flatMap((closed) => closed.cohort);
  const next = approvedSites(state).find((site) => !tried.includes(site));
  if (next) return open('initialise', 0, [next]);
  return { kind: 'fail', reason: `no site could make the initial model (${failures(state.closed).join('; ')})` };
}

function failures(stages: readonly ClosedStage[]): string[] {
  return stages.flatMap(({ results }) =>
    [...results].flatMap(([site, result]) => ('reason' in result ? [`${site}: ${result.reason}`] : [])),
  );
}

export function approvedSites(state: RunState): readonly string[] {
  return state.candidates.filter((site) => state.answers.get(site)?.kind === 'approved');
}

function complete(state: RunState): NextStep {
  return { kind: 'complete', digest: state.models.at(-1)!.digest };
}

function open(kind: Stage['kind'], round: number, cohort: readonly string[]): NextStep {
  return { kind: 'open', stage: { kind, round }, cohort };
}
