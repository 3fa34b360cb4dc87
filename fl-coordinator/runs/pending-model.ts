import { madeAnew } from '../../federation/sent-tensors';
import type { Contribution } from '../aggregation/contribution';
import { approvedSites } from './cohorts';
import { bufferingOf, stalenessIn } from './going';
import { controlsKey, modelKey, momentsPrefix, updateKey, uploadedModelKey } from './object-names';
import type { BufferedUpdate, ClosedStage, RunState, UpdateResult } from './run-state';
import { hopsToCome, startsWithTrainer } from './sequence';
import { type Stage, withTurn } from './stage';
import { baseKeyOf, sendsControls, travelledTo } from './tasks';

/** Work on models that the state of a run asks of the coordinator itself, between two stages. */
export type PendingModel =
  | {
      /** Bytes that exist already become the model of a round: first weights, another run's model, an operator's file. */
      readonly kind: 'copy';
      readonly round: 0;
      readonly source: { readonly key: string } | { readonly run: string };
      /** What the plan says that the bytes are. */
      readonly digest?: string;
      /** A trainer made some tensors anew: all others must be those of this model. */
      readonly keeps?: { readonly of: string; readonly except: readonly string[] };
      readonly target: string;
    }
  | {
      readonly kind: 'aggregate';
      readonly round: number;
      readonly base: string;
      /** In site order, which is the order of aggregation. */
      readonly updates: readonly Contribution[];
      /** What the server's control variate is made of, when the strategy has one. */
      readonly controls?: {
        readonly sources: readonly Contribution[];
        readonly sites: number;
        readonly target: string;
      };
      readonly momentsBefore?: string;
      readonly momentsAfter?: string;
      readonly target: string;
    };

/** The model that must be made next, or none. Depends on the state alone: after a crash the same work is done again. */
export function pendingModel(state: RunState): PendingModel | undefined {
  if (state.outcome || state.open) return undefined;
  const { run, plan } = state;
  const last = state.closed.at(-1);
  if (state.models.length === 0) {
    const target = modelKey(run, 0);
    const { initialModel } = plan;
    const { start } = state;
    if (!startsWithTrainer(plan) && start) {
      return { kind: 'copy', round: 0, source: { key: start.key }, digest: start.digest, target };
    }
    // Journals of older releases do not say what was found.
    if (!startsWithTrainer(plan) && initialModel.from === 'run')
      return { kind: 'copy', round: 0, source: { run: initialModel.run }, target };
    if (!startsWithTrainer(plan) && initialModel.from === 'file') {
      const { sha256 } = initialModel;
      return { kind: 'copy', round: 0, source: { key: uploadedModelKey(sha256) }, digest: `sha256:${sha256}`, target };
    }
    const site = last?.contributors[0];
    if (last?.stage.kind !== 'initialise' || !site) return undefined;
    const except = madeAnew(plan);
    const keeps = start && except.length > 0 && { keeps: { of: start.key, except } };
    return { kind: 'copy', round: 0, source: { key: updateKey(run, last.stage, site) }, target, ...keeps };
  }
  if (last?.stage.kind !== 'train' || state.models.length > last.stage.round) return undefined;
  if (hopsToCome(last) > 0) return undefined;
  const { round } = last.stage;
  const updates = updatesOf(state, last);
  const keepsState = plan.strategy.serverOptimiser.kind !== 'replace';
  return {
    kind: 'aggregate',
    round,
    base: baseKeyOf(state, round - 1),
    updates,
    ...(sendsControls(plan, last.stage) && { controls: controlsAfter(state, round) }),
    ...(keepsState && round > 1 ? { momentsBefore: momentsPrefix(run, round - 1) } : {}),
    ...(keepsState ? { momentsAfter: momentsPrefix(run, round) } : {}),
    target: modelKey(run, round),
  };
}

function updatesOf(state: RunState, last: ClosedStage): Contribution[] {
  const buffered = last.buffered.map((update) => bufferedContribution(state, last.stage, update));
  switch (state.plan.mode) {
    case 'asynchronous':
      return buffered;
    case 'cyclic': {
      const end = travelledTo(state, withTurn(last.stage, (last.stage.turn ?? 1) + 1));
      return end ? [contributionOf(state, end[1], end[0])] : [];
    }
    case 'synchronous':
      return [...last.contributors.map((site) => contributionOf(state, last, site)), ...buffered];
  }
}

function contributionOf(state: RunState, { stage, results }: ClosedStage, site: string): Contribution {
  const result = results.get(site);
  return contribution(state, stage, site, result?.kind === 'update' ? result : { samples: 0, steps: 0 });
}

function bufferedContribution(
  state: RunState,
  { round }: Stage,
  { stage, site, result }: BufferedUpdate,
): Contribution {
  const staleness = stalenessIn(round, stage);
  const factor = bufferingOf(state.plan)!.step / Math.sqrt(1 + staleness);
  const own = contribution(state, stage, site, result);
  return staleness === 0 && factor === 1 ? own : { ...own, from: { key: baseKeyOf(state, stage.round - 1), factor } };
}

function contribution(
  { run, plan }: RunState,
  stage: Stage,
  site: string,
  { samples, steps }: Pick<UpdateResult, 'samples' | 'steps'>,
): Contribution {
  return { site, key: updateKey(run, stage, site), weight: samples * (plan.siteWeights[site] ?? 1), steps };
}

/** The newest update of each site that was accepted in a federated round, this one's included. */
function controlsAfter(state: RunState, round: number) {
  const sites = approvedSites(state);
  const rounds = state.closed.filter(({ stage }) => stage.kind === 'train').reverse();
  const sources = sites.flatMap((site) => {
    const newest = rounds.find(({ contributors }) => contributors.includes(site));
    return newest ? [contributionOf(state, newest, site)] : [];
  });
  return { sources, sites: sites.length, target: controlsKey(state.run, round) };
}
