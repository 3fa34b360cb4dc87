import type { AnnotationRow } from './annotation-bench';

const HEADINGS = ['organ', 'method', 'Dice', 'CPU s', 'moved points: median', 'lowest', 'after each click'];

/** Rows in columns, for people. */
export function annotationTable(rows: readonly AnnotationRow[]): string {
  const show = (value: number | undefined, places = 3): string => value?.toFixed(places) ?? '';
  const cells = rows.map(({ organ, method, dice, seconds, jitter, clicks }) => [
    organ,
    method,
    show(dice),
    show(seconds, 2),
    show(jitter?.median),
    show(jitter?.lowest),
    clicks?.map((value) => show(value)).join(' ') ?? '',
  ]);
  const widths = HEADINGS.map((heading, at) => Math.max(heading.length, ...cells.map((row) => row[at].length)));
  return [HEADINGS, ...cells]
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
