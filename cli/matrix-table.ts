import type { RunView } from '../federation/gen/federation/v1/federation_pb';
import { table } from './terminal';

/** The metric that a matrix is shown in: Dice where there is one. */
const PREFERRED = 'dice';

/** Each model (row) on each site's held-out cases (column), and the best model by each metric. No lines without a matrix. */
export function matrixLines({ matrix, best }: RunView): string[] {
  const sites = [...new Set(matrix.map(({ site }) => site))];
  const models = [...new Set(matrix.map(({ model }) => model))];
  const names = [...new Set(matrix.flatMap(({ metrics }) => Object.keys(metrics)))];
  const metric = names.includes(PREFERRED) ? PREFERRED : names[0];
  if (metric === undefined) return [];
  const figure = (model: string, site: string): number | undefined =>
    matrix.find((cell) => cell.model === model && cell.site === site)?.metrics[metric];
  const rows = models.map((model) => {
    const values = sites.map((site) => figure(model, site));
    const known = values.filter((value) => value !== undefined);
    const mean = known.length > 0 ? known.reduce((sum, value) => sum + value, 0) / known.length : undefined;
    return [model, ...[...values, mean].map((value) => value?.toFixed(3) ?? '-')];
  });
  return [
    `${metric} of each model (row) on each site's held-out cases (column)`,
    ...table([['model', ...sites, 'mean'], ...rows]).split('\n'),
    ...best.map(({ metric, model, mean }) => `best by ${metric}: ${model} (mean ${mean.toFixed(3)})`),
  ];
}
