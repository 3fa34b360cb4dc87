import type { Contribution } from '../aggregation/contribution';
import { modelKey, momentsPrefix, updateKey } from './object-names';
import type { RunState } from './run-state';

/** Work on models that the state of a run asks of the coordinator itself, between two stages. */
export type PendingModel =
  | {
      /** Bytes that exist already become the model of a round: the first weights, or another run's model. */
      readonly kind: 'copy';
      readonly round: 0;
      readonly source: { readonly key: string } | { readonly run: string };
      readonly target: string;
    }
  | {
      readonly kind: 'aggregate';
      readonly round: number;
      readonly base: string;
      /** In site order, which is the order of aggregation. */
      readonly updates: readonly Contribution[];
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
    if (plan.initialModel.from === 'run')
      return { kind: 'copy', round: 0, source: { run: plan.initialModel.run }, target };
    const site = last?.contributors[0];
    if (last?.stage.kind !== 'initialise' || !site) return undefined;
    return { kind: 'copy', round: 0, source: { key: updateKey(run, last.stage, site) }, target };
  }
  if (last?.stage.kind !== 'train' || state.models.length > last.stage.round) return undefined;
  const { round } = last.stage;
  const updates = last.contributors.map((site) => {
    const result = last.results.get(site);
    const { samples, steps } = result?.kind === 'update' ? result : { samples: 0, steps: 0 };
    return { site, key: updateKey(run, last.stage, site), weight: samples * (plan.siteWeights[site] ?? 1), steps };
  });
  const keepsState = plan.strategy.serverOptimiser.kind !== 'replace';
  return {
    kind: 'aggregate',
    round,
    base: modelKey(run, round - 1),
    updates,
    ...(keepsState && round > 1 ? { momentsBefore: momentsPrefix(run, round - 1) } : {}),
    ...(keepsState ? { momentsAfter: momentsPrefix(run, round) } : {}),
    target: modelKey(run, round),
  };
}
