import type { AnnotationRow } from './annotation-bench';

const HEADINGS = ['organ', 'method', 'Dice', 'CPU s', 'perturbed: mean', 'lowest', 'where', 'after each click'];

/** Rows in columns, for people. */
export function annotationTable(rows: readonly AnnotationRow[]): string {
  const show = (value: number | undefined, places = 3): string => value?.toFixed(places) ?? '';
  const cells = rows.map(({ organ, method, dice, seconds, perturbed, clicks }) => [
    organ,
    method,
    show(dice),
    show(seconds, 2),
    show(perturbed && meanOf(perturbed)),
    show(perturbed && lowestOf(perturbed).dice),
    perturbed ? lowestOf(perturbed).kind : '',
    clicks?.map((value) => show(value)).join(' ') ?? '',
  ]);
  const widths = HEADINGS.map((heading, at) => Math.max(heading.length, ...cells.map((row) => row[at].length)));
  const table = [HEADINGS, ...cells].map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at]))
      .join('  ')
      .trimEnd(),
  );
  return [...table, '', ...summariesOf(rows), ...setbacksOf(rows)].join('\n');
}

type Outcomes = NonNullable<AnnotationRow['perturbed']>;

/** One line for each method by points: over organs and perturbations, each organ counting the same. */
function summariesOf(rows: readonly AnnotationRow[]): string[] {
  const methods = new Set(rows.filter(({ perturbed }) => perturbed !== undefined).map(({ method }) => method));
  return [...methods].map((method) => {
    const cases = rows.flatMap(({ organ, method: of, dice, perturbed }) =>
      of === method && perturbed ? [{ organ, outcomes: [{ kind: 'as it is', dice }, ...perturbed] }] : [],
    );
    const mean = cases.reduce((sum, { outcomes }) => sum + meanOf(outcomes), 0) / cases.length;
    const lowest = cases.reduce((sum, { outcomes }) => sum + lowestOf(outcomes).dice, 0) / cases.length;
    const [worst] = cases
      .map(({ organ, outcomes }) => ({ organ, ...lowestOf(outcomes) }))
      .sort((a, b) => a.dice - b.dice);
    return (
      `${method}: mean ${mean.toFixed(3)} over ${cases.length} organs and ${cases[0].outcomes.length} cases each; ` +
      `lowest of an organ ${lowest.toFixed(3)} on average, ${worst.dice.toFixed(3)} for ${worst.organ} (${worst.kind})`
    );
  });
}

/** One line for each method by clicks: how many clicks made Dice worse, and by how much. */
function setbacksOf(rows: readonly AnnotationRow[]): string[] {
  const methods = new Set(rows.filter(({ clicks }) => clicks !== undefined).map(({ method }) => method));
  return [...methods].map((method) => {
    const conversations = rows.flatMap(({ organ, method: of, clicks }) =>
      of === method && clicks ? [{ organ, clicks }] : [],
    );
    const steps = conversations.flatMap(({ organ, clicks }) =>
      clicks.slice(1).map((dice, at) => ({ organ, click: at + 2, loss: clicks[at] - dice })),
    );
    const losses = steps.filter(({ loss }) => loss > 0).sort((a, b) => b.loss - a.loss);
    const affected = new Set(losses.map(({ organ }) => organ)).size;
    const sum = losses.reduce((total, { loss }) => total + loss, 0);
    const [worst] = losses;
    return (
      `${method}: ${losses.length} of ${steps.length} clicks after the first lower Dice, in ${affected} of ${conversations.length} ` +
      `conversations, by ${sum.toFixed(2)} together` +
      (worst ? `, at most by ${worst.loss.toFixed(3)} (${worst.organ}, click ${worst.click})` : '')
    );
  });
}

function meanOf(outcomes: Outcomes): number {
  return outcomes.reduce((sum, { dice }) => sum + dice, 0) / outcomes.length;
}

function lowestOf(outcomes: Outcomes): Outcomes[number] {
  return outcomes.reduce((least, outcome) => (outcome.dice < least.dice ? outcome : least));
}
