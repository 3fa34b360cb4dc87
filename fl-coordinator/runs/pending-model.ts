import type { Contribution } from '../aggregation/contribution';
import { controlsKey, modelKey, momentsPrefix, updateKey, uploadedModelKey } from './object-names';
import type { ClosedStage, RunState } from './run-state';
import { approvedSites } from './sequence';
import { baseKeyOf, sendsControls } from './tasks';

/** Work on models that the state of a run asks of the coordinator itself, between two stages. */
export type PendingModel =
  | {
      /** Bytes that exist already become the model of a round: first weights, another run's model, an operator's file. */
      readonly kind: 'copy';
      readonly round: 0;
      readonly source: { readonly key: string } | { readonly run: string };
      /** What the plan says that the bytes are. */
      readonly digest?: string;
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
    if (initialModel.from === 'run') return { kind: 'copy', round: 0, source: { run: initialModel.run }, target };
    if (initialModel.from === 'file') {
      const { sha256 } = initialModel;
      return { kind: 'copy', round: 0, source: { key: uploadedModelKey(sha256) }, digest: `sha256:${sha256}`, target };
    }
    const site = last?.contributors[0];
    if (last?.stage.kind !== 'initialise' || !site) return undefined;
    return { kind: 'copy', round: 0, source: { key: updateKey(run, last.stage, site) }, target };
  }
  if (last?.stage.kind !== 'train' || state.models.length > last.stage.round) return undefined;
  const { round } = last.stage;
  const updates = last.contributors.map((site) => contributionOf(state, last, site));
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

function contributionOf({ run, plan }: RunState, { stage, results }: ClosedStage, site: string): Contribution {
  const result = results.get(site);
  const { samples, steps } = result?.kind === 'update' ? result : { samples: 0, steps: 0 };
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
