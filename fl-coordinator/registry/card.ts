import type { ModelParent, RegisteredCard } from '../../federation/registered-model';
import type { Metrics } from '../../federation/trainer-contract';
import { contributingSites } from '../runs/contributing-sites';
import type { PublishedModel, RunState } from '../runs/run-state';
import { GLOBAL_MODEL } from '../runs/tasks';

/** What the registry's caller adds to what the run says. */
export interface CardFacts extends Pick<RegisteredCard, 'model' | 'version' | 'description' | 'licence' | 'operator'> {
  readonly registeredAt: string;
}

/** The card of a global model of a run: a function of the run's journal. */
export function cardOf(
  state: RunState,
  { round, digest, bytes }: PublishedModel,
  parents: readonly ModelParent[],
  facts: CardFacts,
): RegisteredCard {
  return {
    ...facts,
    digest,
    bytes,
    run: state.run,
    round,
    plan: state.plan,
    parents: [...parents],
    initialDigest: state.models[0]!.digest,
    sites: contributingSites(state, round).map(({ site, rounds, newest: { samples } }) => ({ site, rounds, samples })),
    metrics: metricsOf(state, round),
  };
}

function metricsOf({ candidates, closed }: RunState, round: number): RegisteredCard['metrics'] {
  const judged = closed.filter(
    ({ stage }) => (stage.kind === 'evaluate' || stage.kind === 'cross-evaluate') && stage.round === round,
  );
  const sites = candidates.flatMap((site) => {
    for (const { results } of judged) {
      const result = results.get(site);
      if (result?.kind !== 'evaluation') continue;
      const own = result.evaluations.find(({ model }) => model === GLOBAL_MODEL);
      if (own) return [{ site, samples: result.samples, metrics: own.metrics }];
    }
    return [];
  });
  return { sites, mean: meanOf(sites.map(({ metrics }) => metrics)) };
}

function meanOf(all: readonly Metrics[]): Metrics {
  const names = Object.keys(all[0] ?? {}).filter((name) => all.every((metrics) => name in metrics));
  return Object.fromEntries(
    names.map((name) => [name, all.reduce((sum, metrics) => sum + metrics[name]!, 0) / all.length]),
  );
}
