import type { EarlyStop } from '../../federation/course';
import { runningMillis } from './run-clock';
import { type BestRound, type RunState, stagesOf } from './run-state';
import { GLOBAL_MODEL } from './tasks';

/** When a run ends before its last round, and which of its models is the best. */

export interface EarlyEnd {
  readonly reason: string;
  /** Nothing may follow, not even a comparison. */
  readonly budgetIsSpent: boolean;
}

/** After the given round; undefined when the run goes on. */
export function earlyEnd(state: RunState): EarlyEnd | undefined {
  const spent = spentBudget(state);
  if (spent) return { reason: `stopped early: ${spent}`, budgetIsSpent: true };
  const stuck = state.plan.earlyStop && withoutProgress(state, state.plan.earlyStop);
  return stuck ? { reason: `stopped early: ${stuck}`, budgetIsSpent: false } : undefined;
}

export function roundsDone(state: RunState): number {
  return state.models.length - 1;
}

function spentBudget(state: RunState): string | undefined {
  const { budget } = state.plan;
  if (!budget) return undefined;
  const { rounds = Number.POSITIVE_INFINITY, bytes = Number.POSITIVE_INFINITY } = budget;
  if (roundsDone(state) >= rounds) return `the budget of ${rounds} rounds is spent`;
  const moved = state.closed.reduce((sum, stage) => sum + stage.bytesToSites + stage.bytesFromSites, 0);
  if (moved >= bytes) return `${moved} bytes of models have moved, and the budget is ${bytes}`;
  // Events go on in a pause, and the time of the newest one with them.
  const millis = runningMillis(state, Date.parse(state.changedAt));
  const { wallTime = Number.POSITIVE_INFINITY } = budget;
  if (millis < wallTime) return undefined;
  return `the run has taken ${Math.round(millis / 1000)} s, and the budget is ${wallTime / 1000} s`;
}

function withoutProgress(state: RunState, { metric, patience, minimumDelta, mode }: EarlyStop): string | undefined {
  const sign = mode === 'max' ? 1 : -1;
  let best: { readonly round: number; readonly value: number } | undefined;
  for (const { round, value } of valuesByRound(state, metric)) {
    if (!best || sign * (value - best.value) > minimumDelta) best = { round, value };
  }
  const { round, value } = best ?? { round: 0, value: undefined };
  if (roundsDone(state) - round < patience) return undefined;
  if (value === undefined) return `no site has reported ${metric} in ${patience} rounds`;
  const by = minimumDelta > 0 ? ` by more than ${minimumDelta}` : '';
  return `${metric} has not been better than ${value.toPrecision(4)} of round ${round}${by} for ${patience} rounds`;
}

/** The best model so far by the metric of the plan's early stop; of equally good ones the first. */
export function bestRound(state: RunState): BestRound | undefined {
  const { earlyStop } = state.plan;
  if (!earlyStop) return undefined;
  const { metric, mode } = earlyStop;
  const sign = mode === 'max' ? 1 : -1;
  const [first, ...others] = valuesByRound(state, metric);
  if (!first) return undefined;
  const { round, value } = others.reduce(
    (best, other) => (sign * other.value > sign * best.value ? other : best),
    first,
  );
  return { round, digest: state.models[round]!.digest, metric, value };
}

function valuesByRound(state: RunState, metric: string) {
  return stagesOf(state).flatMap((stage) => {
    if (stage.stage.kind !== 'evaluate' || !('closedAt' in stage)) return [];
    let sum = 0;
    let samples = 0;
    for (const site of stage.cohort) {
      const result = stage.results.get(site);
      if (result?.kind !== 'evaluation') continue;
      const own = result.evaluations.find(({ model }) => model === GLOBAL_MODEL)?.metrics[metric];
      if (own === undefined) continue;
      sum += own * result.samples;
      samples += result.samples;
    }
    return samples > 0 ? [{ round: stage.stage.round, value: sum / samples }] : [];
  });
}
