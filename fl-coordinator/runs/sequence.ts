import type { Plan } from '../../federation/plan';
import { madeAnew } from '../../federation/sent-tensors';
import { approvedSites, freeSites, roundCohort } from './cohorts';
import { earlyEnd, roundsDone } from './ending';
import type { ClosedStage, OpenStage, RunState } from './run-state';
import { type Stage, withTurn } from './stage';
import { statisticsDigest } from './statistics';

/** Which stage comes after which. A newcomer reads the life of a run here. */

export type NextStep =
  | {
      readonly kind: 'open';
      readonly stage: Stage;
      readonly cohort: readonly string[];
      readonly seed?: number;
      readonly order?: readonly string[];
    }
  | { readonly kind: 'complete'; readonly digest: string; readonly reason?: string }
  | { readonly kind: 'fail'; readonly reason: string };

/** After approval: the initial model, or straight to round 1 when it is there already. */
export function firstStage(state: RunState, approved: readonly string[]): NextStep | undefined {
  if (state.plan.statistics) return open('statistics', 1, approved);
  if (state.models.length > 0) return train(state, 1);
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
      return state.models.length > 0 ? train(state, 1) : undefined;
    case 'train': {
      if (hopsToCome(last) > 0) return nextHop(last);
      if (state.models.length <= round) return undefined;
      const judges = judgesOf(state, round);
      return state.plan.evaluation.everyRound && judges.length > 0
        ? open('evaluate', round, judges)
        : afterRound(state, round);
    }
    case 'evaluate':
      return afterRound(state, round);
    case 'train-alone':
      // A site that fell out cannot go on alone: it has no weights to go on from.
      if (last.contributors.length > 0 && round < roundsDone(state)) {
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

/**
 * Who still trains for an earlier round is not asked to judge: unless no round follows that could combine its update. It then
 * gives the training up, so that the last figures are those of all sites.
 */
function judgesOf(state: RunState, round: number): readonly string[] {
  const isLast = round >= state.plan.rounds || earlyEnd(state)?.budgetIsSpent;
  return isLast ? approvedSites(state) : freeSites(state);
}

/** Whether a site's trainer makes the first weights, or some of them. */
export function startsWithTrainer(plan: Plan): boolean {
  return plan.initialModel.from === 'trainer' || madeAnew(plan).length > 0;
}

function afterRound(state: RunState, round: number): NextStep {
  const end = round < state.plan.rounds ? earlyEnd(state) : undefined;
  if (round < state.plan.rounds && !end) return train(state, round + 1);
  const { siteModels, crossSite } = state.plan.evaluation;
  if (end?.budgetIsSpent) return complete(state);
  if (siteModels) return open('train-alone', 1, approvedSites(state));
  return crossSite ? crossEvaluate(state) : complete(state);
}

/** A federated round. In a cyclic one the weights travel: each site is asked after the one before, in a stage of its own. */
function train(state: RunState, round: number): NextStep {
  const { cohort, seed } = roundCohort(state, round);
  const drawn = seed === undefined ? {} : { seed };
  if (state.plan.mode !== 'cyclic') return { ...open('train', round, cohort), ...drawn };
  return { ...open('train', round, cohort.slice(0, 1)), ...drawn, order: cohort };
}

function nextHop({ stage, order }: ClosedStage): NextStep {
  const turn = (stage.turn ?? 1) + 1;
  return { kind: 'open', stage: withTurn(stage, turn), cohort: [order![turn - 1]!], order: order! };
}

/** How many sites of a cyclic round are still to be asked after this stage. */
export function hopsToCome({ stage, order = [] }: OpenStage): number {
  return Math.max(order.length - (stage.turn ?? 1), 0);
}

/** The stages of a cyclic round before the given one. */
export function hopsOf(state: RunState, { stage, order }: OpenStage): readonly ClosedStage[] {
  if (!order) return [];
  const turn = stage.turn ?? 1;
  return state.closed.filter(
    (hop) => hop.stage.kind === 'train' && hop.stage.round === stage.round && (hop.stage.turn ?? 1) < turn,
  );
}

/** The comparison is with as many rounds as there were. */
function crossEvaluate(state: RunState): NextStep {
  return open('cross-evaluate', roundsDone(state), approvedSites(state));
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

function complete(state: RunState): NextStep {
  const end = roundsDone(state) < state.plan.rounds ? earlyEnd(state) : undefined;
  return { kind: 'complete', digest: state.models.at(-1)!.digest, ...(end && { reason: end.reason }) };
}

function open(
  kind: Stage['kind'],
  round: number,
  cohort: readonly string[],
): Extract<NextStep, { readonly kind: 'open' }> {
  return { kind: 'open', stage: { kind, round }, cohort };
}
