/** Metrics of which less is more: losses, an objective that training makes smaller, errors and distances. Of every other one more is better. */
const LESS_IS_BETTER = /loss|^objective$|error|distance|^assd|^hausdorff|^(mae|mse|rmse)$/i;

/** What the name of a metric tells, where nobody says it. */
export function lessIsBetter(metric: string): boolean {
  return LESS_IS_BETTER.test(metric);
}
