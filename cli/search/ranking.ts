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
  /** Sites that judged. */
  readonly sites: readonly string[];
  readonly reason: string;
  /** Rounds that it did. */
  readonly roundsDone: number;
  /** Of models, in both directions. */
  readonly bytes: number;
  /** Of its rounds. */
  readonly seconds: number;
}

export type Mode = 'max' | 'min';

/** Best first: by value, those without one last, and then by the number of the candidate. */
export function ranked(outcomes: readonly Outcome[], mode: Mode): Outcome[] {
  const sign = mode === 'max' ? -1 : 1;
  return [...outcomes].sort((a, b) => {
    if (a.value === null || b.value === null) {
      return Number(a.value === null) - Number(b.value === null) || a.candidate - b.candidate;
    }
    return sign * (a.value - b.value) || a.candidate - b.candidate;
  });
}

/** The candidates that go on to a rung with so many places, best first. What has no value never does. */
export function survivors(outcomes: readonly Outcome[], mode: Mode, places: number): number[] {
  return ranked(outcomes, mode)
    .filter(({ value }) => value !== null)
    .slice(0, places)
    .map(({ candidate }) => candidate);
}

/**
 * The last outcome of each candidate, best first: those that came further, and by value among them; candidates whose last
 * trial has no value are behind all others.
 */
export function standings(outcomes: readonly Outcome[], mode: Mode): Outcome[] {
  const last = new Map<number, Outcome>();
  for (const outcome of outcomes) {
    const before = last.get(outcome.candidate);
    if (!before || before.rung < outcome.rung) last.set(outcome.candidate, outcome);
  }
  const furthestFirst = [...last.values()].sort((a, b) => b.rung - a.rung);
  const rungs = [...new Set(furthestFirst.map(({ rung }) => rung))];
  const inOrder = rungs.flatMap((rung) =>
    ranked(
      furthestFirst.filter((outcome) => outcome.rung === rung),
      mode,
    ),
  );
  return [...inOrder.filter(({ value }) => value !== null), ...inOrder.filter(({ value }) => value === null)];
}
