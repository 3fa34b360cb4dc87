import { ClaraError } from '../base/errors';
import { showBytes } from '../base/show-bytes';
import type { RoundView, RunView } from '../federation/gen/federation/v1/federation_pb';
import { lessIsBetter } from '../federation/metric-direction';
import { table } from './terminal';

/** What runs reached and what it took, side by side. */

export interface Target {
  readonly metric: string;
  readonly value: number;
}

export interface ComparedRun {
  readonly run: string;
  readonly state: string;
  readonly rounds: number;
  /** Of the global model after the last round that was evaluated: the mean over the sites, weighted by samples. */
  readonly final: number | null;
  readonly best: number | null;
  readonly bestRound: number | null;
  /** The first round that reached the target, and the seconds until its end; null when none has. */
  readonly reachedRound: number | null;
  readonly reachedSeconds: number | null;
  /** Of all rounds. */
  readonly seconds: number;
  /** Of models, in both directions. */
  readonly bytes: number;
}

export interface Comparison {
  readonly metric: string;
  readonly target: Target | undefined;
  readonly runs: readonly ComparedRun[];
}

const USUAL_METRIC = 'dice';

/** `dice=0.9`. @throws ClaraError `invalid-input` */
export function parseTarget(text: string): Target {
  const [, metric, number] = /^([^=]{1,100})=(.+)$/.exec(text) ?? [];
  const value = Number(number);
  if (metric !== undefined && Number.isFinite(value)) return { metric, value };
  throw new ClaraError('invalid-input', `--target (${text}) must be a metric and a number, such as dice=0.9`);
}

/** @throws ClaraError `invalid-input` when metric and target contradict each other */
export function compareRuns(
  views: readonly RunView[],
  { metric, target }: { readonly metric?: string | undefined; readonly target?: Target | undefined },
): Comparison {
  const compared = metric ?? target?.metric ?? USUAL_METRIC;
  if (target && target.metric !== compared) {
    throw new ClaraError(
      'invalid-input',
      `--metric ${compared} and --target ${target.metric} must name the same metric`,
    );
  }
  return { metric: compared, target, runs: views.map((view) => comparedRun(view, compared, target)) };
}

function comparedRun(view: RunView, metric: string, target: Target | undefined): ComparedRun {
  const sign = lessIsBetter(metric) ? -1 : 1;
  const values = view.rounds.flatMap((round, index) => {
    const value = roundMetric(round, metric);
    return value === undefined ? [] : [{ index, round: round.round, value }];
  });
  const best = values.reduce<(typeof values)[number] | undefined>(
    (found, other) => (found && sign * found.value >= sign * other.value ? found : other),
    undefined,
  );
  const reached = target && values.find(({ value }) => sign * value >= sign * target.value);
  return {
    run: view.summary?.run ?? '',
    state: view.summary?.state ?? '',
    rounds: view.rounds.length,
    final: values.at(-1)?.value ?? null,
    best: best?.value ?? null,
    bestRound: best?.round ?? null,
    reachedRound: reached?.round ?? null,
    reachedSeconds: reached ? secondsOf(view.rounds.slice(0, reached.index + 1)) : null,
    seconds: secondsOf(view.rounds),
    bytes: view.rounds.reduce((sum, round) => sum + Number(round.bytesToSites + round.bytesFromSites), 0),
  };
}

/** Of the global model after a round: the mean over the sites that tell it, weighted by their held-out cases. */
export function roundMetric({ evaluations }: Pick<RoundView, 'evaluations'>, metric: string): number | undefined {
  const told = evaluations.filter(({ metrics }) => metrics[metric] !== undefined);
  const samples = told.reduce((sum, evaluation) => sum + Number(evaluation.samples), 0);
  if (samples === 0) return undefined;
  return told.reduce((sum, evaluation) => sum + evaluation.metrics[metric]! * Number(evaluation.samples), 0) / samples;
}

function secondsOf(rounds: readonly RoundView[]): number {
  return rounds.reduce((sum, { seconds }) => sum + seconds, 0);
}

export function comparisonTable({ metric, target, runs }: Comparison): string {
  const goal = target ? [`reaches ${target.value}`] : [];
  const rows = runs.map((row) => [
    row.run,
    row.state,
    String(row.rounds),
    figure(row.final),
    row.best === null ? '-' : `${figure(row.best)} (round ${row.bestRound})`,
    ...(target
      ? [row.reachedRound === null ? '-' : `round ${row.reachedRound}, ${row.reachedSeconds!.toFixed(1)} s`]
      : []),
    `${row.seconds.toFixed(1)} s`,
    showBytes(row.bytes),
  ]);
  return table([['run', 'state', 'rounds', `final ${metric}`, `best ${metric}`, ...goal, 'time', 'moved'], ...rows]);
}

const figure = (value: number | null): string => value?.toFixed(3) ?? '-';
