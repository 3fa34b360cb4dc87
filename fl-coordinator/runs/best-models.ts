import { lessIsBetter } from '../../federation/metric-direction';
import type { OpenStage } from './run-state';

export interface BestModel {
  readonly metric: string;
  readonly model: string;
  /** Over the sites that judged, each weighing the same. */
  readonly mean: number;
}

/**
 * The best model of a matrix by each metric that every judging site reports of every model. Of models that are equally good the
 * first in the order of evaluation is named, which is the global one before any site's.
 */
export function bestModels(stage: OpenStage): BestModel[] {
  const judged = [...stage.results.values()].flatMap((result) =>
    result.kind === 'evaluation' && result.evaluations.length > 0 ? [result.evaluations] : [],
  );
  const [first] = judged;
  if (!first) return [];
  const all = judged.flat();
  const metrics = Object.keys(first[0]!.metrics).filter((name) => all.every(({ metrics }) => name in metrics));
  return metrics.map((metric) => {
    const means = first.map(({ model }) => {
      const values = all.filter((other) => other.model === model).map(({ metrics }) => metrics[metric]!);
      return { metric, model, mean: values.reduce((sum, value) => sum + value, 0) / values.length };
    });
    const sign = lessIsBetter(metric) ? -1 : 1;
    return means.reduce((best, other) => (sign * other.mean > sign * best.mean ? other : best));
  });
}
