import path from 'node:path';
import { hasCode } from '../../base/errors';
import type { PlanInput } from '../../federation/plan';
import { modelKey } from '../../fl-coordinator/runs/object-names';
import { endedRounds } from '../../simulation/history';
import { coordinatorFolder, type Simulation } from '../../simulation/simulation';

export interface Course {
  /** Rounds until the value was at the target or beyond it; none when it never was. */
  readonly roundsToTarget: number | undefined;
  readonly best: number;
  readonly last: number;
  /** Why the run ended before its rounds were done, and not by reaching the target. */
  readonly failed?: string;
}

export interface Wanted {
  /** Of the model of a round; `metrics` are those of its evaluation. */
  readonly measured: (modelFile: string, metrics: Readonly<Record<string, number>>) => Promise<number>;
  readonly target: number;
  /** Whether more or less is better. */
  readonly mode: 'max' | 'min';
  /** Later values count too: a run goes on after it has reached the target. */
  readonly goOn?: boolean;
}

let runs = 0;

/** One run, until it has reached its target or done its rounds. */
export async function courseOf(
  simulation: Simulation,
  folder: string,
  plan: PlanInput,
  wanted: Wanted,
): Promise<Course> {
  const { measured, target, mode, goOn } = wanted;
  const better = (a: number, b: number) => (mode === 'max' ? a > b : a < b);
  const run = await simulation.submit(JSON.stringify(plan), `benchmark ${runs++}`);
  let told = 0;
  let best = mode === 'max' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  let last = best;
  let reached: number | undefined;
  let failed: string | undefined;
  for await (const view of simulation.watch(run)) {
    const rounds = endedRounds(view);
    for (const { round, evaluation } of rounds.slice(told)) {
      last = await measured(path.join(coordinatorFolder(folder), 'store', modelKey(run, round)), evaluation);
      if (better(last, best)) best = last;
      if (reached === undefined && !better(target, last)) reached = round;
    }
    told = rounds.length;
    const { state, reason } = view.summary!;
    if (state === 'failed') failed = reason;
    if (state === 'running' && reached !== undefined && !goOn) await end(simulation, run);
  }
  return { roundsToTarget: reached, best, last, ...(failed !== undefined && { failed }) };
}

/** It may have ended by itself since it was looked at. */
async function end(simulation: Simulation, run: string): Promise<void> {
  await simulation.abort(run, 'the target is reached').catch((error: unknown) => {
    if (!hasCode(error, 'precondition-failed')) throw error;
  });
}
