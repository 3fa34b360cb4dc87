import { fairValues, type Judgement } from './fair-values';

/** What became of a trial, and which of several is better. */

export interface Outcome {
  readonly candidate: number;
  /** From 1. */
  readonly rung: number;
  /** That it was to have. */
  readonly rounds: number;
  /** Empty when the coordinator refused the plan. */
  readonly run: string;
  /** The metric after its last round; null when there is none, and `reason` says why. */
  readonly value: number | null;
  /** Of the sites that told the metric after its last round. */
  readonly judgements: readonly Judgement[];
  readonly reason: string;
  /** Rounds that it did. */
  readonly roundsDone: number;
  /** Of models, in both directions. */
  readonly bytes: number;
  /** Of its rounds. */
  readonly seconds: number;
}

export type Mode = 'max' | 'min';

export interface Standing extends Outcome {
  /** By which it ranks: the value as if all sites of its rung had judged it, the value itself where they have. */
  readonly compared: number | null;
}

/** Trials of one rung, best first: by value on equal terms, those without one last, and then by the number of the candidate. */
export function ranked(outcomes: readonly Outcome[], mode: Mode): Standing[] {
  const sign = mode === 'max' ? -1 : 1;
  // By number, so that sums do not depend on the order in which trials have ended.
  const inOrder = [...outcomes].sort((a, b) => a.candidate - b.candidate);
  const known = inOrder.filter(({ value }) => value !== null);
  const fair = isSameJury(known)
    ? known.map(({ value }) => ({ value: value!, group: 0 }))
    : fairValues(known.map(({ judgements }) => judgements));
  const order = known.map((_, index) => index);
  order.sort((a, b) => fair[a]!.group - fair[b]!.group || sign * (fair[a]!.value - fair[b]!.value) || a - b);
  return [
    ...order.map((index) => ({ ...known[index]!, compared: fair[index]!.value })),
    ...inOrder.filter(({ value }) => value === null).map((outcome) => ({ ...outcome, compared: null })),
  ];
}

/** Whether the same sites have judged all by as many cases. */
function isSameJury(outcomes: readonly Outcome[]): boolean {
  const juries = outcomes.map(({ judgements }) =>
    judgements
      .map(({ site, samples }) => `${site} ${samples}`)
      .sort()
      .join('\n'),
  );
  return juries.every((jury) => jury === juries[0]);
}

/** The candidates that go on to a rung with so many places, best first. What has no value never does. */
export function survivors(outcomes: readonly Outcome[], mode: Mode, places: number): number[] {
  return ranked(outcomes, mode)
    .filter(({ value }) => value !== null)
    .slice(0, places)
    .map(({ candidate }) => candidate);
}

/**
 * The last outcome of each candidate, best first: those that came further, and by rank in their rung among them; candidates whose
 * last trial has no value are behind all others.
 */
export function standings(outcomes: readonly Outcome[], mode: Mode): Standing[] {
  const last = new Map<number, number>();
  for (const { candidate, rung } of outcomes) last.set(candidate, Math.max(last.get(candidate) ?? 0, rung));
  const furthestFirst = [...new Set(outcomes.map(({ rung }) => rung))].sort((a, b) => b - a);
  // Ranked among all trials of the rung: those that went on are part of the comparison.
  const inOrder = furthestFirst.flatMap((rung) =>
    ranked(
      outcomes.filter((outcome) => outcome.rung === rung),
      mode,
    ).filter(({ candidate }) => last.get(candidate) === rung),
  );
  return [...inOrder.filter(({ value }) => value !== null), ...inOrder.filter(({ value }) => value === null)];
}
