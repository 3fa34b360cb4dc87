import { escapeHtml } from '../../base/html';

export interface Line {
  readonly name: string;
  readonly values: readonly (number | undefined)[];
  readonly strong?: boolean;
}

/** Distinguishable with the common colour deficiencies (Okabe and Ito 2008); lines differ by dash as well. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];
const DASHES = ['', '6 4', '2 3', '8 3 2 3', '1 4', '10 5'];

const WIDTH = 660;
const LEFT = 48;
const RIGHT = 200;
const TOP = 16;
/** Lowest height of the plot; many lines make it higher, so that each keeps its label. */
const PLOT_HEIGHT = 244;
const BELOW = 44;
const LABEL_HEIGHT = 22;
/** More numbers than this would run into one another. */
const MOST_TICKS = 12;

/**
 * An SVG of lines over rounds 1..n with values in 0..1, each named at its end. The axis ends at 1 and begins at the tenth below
 * the lowest value: lines that lie close together stay apart.
 */
export function lineChart(title: string, rounds: readonly number[], lines: readonly Line[]): string {
  const bottom = TOP + Math.max(PLOT_HEIGHT, (lines.length - 1) * LABEL_HEIGHT);
  const floor = axisFloor(lines);
  const x = (index: number) => LEFT + (rounds.length < 2 ? 0.5 : index / (rounds.length - 1)) * (WIDTH - LEFT - RIGHT);
  const y = (value: number) => bottom - ((value - floor) / (1 - floor)) * (bottom - TOP);
  const grid = axisValues(floor).map(
    (value) =>
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}"/>` +
      `<text x="${LEFT - 8}" y="${y(value) + 4}" text-anchor="end">${value.toFixed(1)}</text>`,
  );
  const stride = Math.ceil(rounds.length / MOST_TICKS);
  const ticks = rounds.map((round, index) =>
    index % stride === 0 ? `<text x="${x(index)}" y="${bottom + 18}" text-anchor="middle">${round}</text>` : '',
  );
  const labels = spreadLabels(
    lines.map(({ values }) => y(lastOf(values) ?? floor)),
    bottom,
  );
  const drawn = lines.map((line, index) => drawLine(line, index, x, y, labels[index]!));
  return `<svg viewBox="0 0 ${WIDTH} ${bottom + BELOW}" role="img" aria-label="${escapeHtml(title)}"><title>${escapeHtml(title)}</title>${grid.join('')}${ticks.join('')}<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${bottom + BELOW - 6}" text-anchor="middle">round</text>${drawn.join('')}</svg>`;
}

function drawLine(
  line: Line,
  index: number,
  x: (i: number) => number,
  y: (v: number) => number,
  labelY: number,
): string {
  const colour = line.strong ? 'var(--ink)' : COLOURS[index % COLOURS.length]!;
  const points = line.values.flatMap((value, i) => (value === undefined ? [] : [[x(i), y(value)] as const]));
  const path = points.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(' ');
  const marks = points.map(
    ([px, py]) => `<circle cx="${px.toFixed(1)}" cy="${py.toFixed(1)}" r="${line.strong ? 4 : 3}" fill="${colour}"/>`,
  );
  const dash = line.strong ? '' : DASHES[index % DASHES.length]!;
  const end = points.at(-1);
  const leader = end
    ? `<line x1="${end[0] + 5}" y1="${end[1]}" x2="${WIDTH - RIGHT + 16}" y2="${labelY}" stroke="${colour}" stroke-width="0.75"/>`
    : '';
  const last = lastOf(line.values);
  const label = `<text x="${WIDTH - RIGHT + 20}" y="${labelY + 4}" style="fill:${colour}"${line.strong ? ' font-weight="700"' : ''}>${escapeHtml(line.name)}${last === undefined ? '' : ` ${last.toFixed(3)}`}</text>`;
  return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="${line.strong ? 2.5 : 1.75}" stroke-dasharray="${dash}"/>${marks.join('')}${leader}${label}`;
}

function lastOf(values: readonly (number | undefined)[]): number | undefined {
  return values.findLast((value) => value !== undefined);
}

/** At most 0.8, so that the noise of a hundredth does not look like a cliff. */
function axisFloor(lines: readonly Line[]): number {
  const values = lines.flatMap(({ values }) => values).filter((value) => value !== undefined);
  return Math.max(0, Math.min(0.8, Math.floor(Math.min(...values) * 10) / 10));
}

/** Every tenth on a short axis, every fifth on a long one. */
function axisValues(floor: number): number[] {
  const step = floor >= 0.5 ? 1 : 2;
  const first = Math.ceil((floor * 10) / step) * step;
  return Array.from({ length: (10 - first) / step + 1 }, (_, index) => (first + index * step) / 10);
}

/** Moves labels apart that would lie on one another, keeping their order and staying inside the picture. */
function spreadLabels(wanted: readonly number[], bottom: number): number[] {
  const order = wanted.map((_, index) => index).sort((a, b) => wanted[a]! - wanted[b]!);
  const placed = [...wanted];
  let free = TOP;
  for (const index of order) {
    placed[index] = Math.max(placed[index]!, free);
    free = placed[index]! + LABEL_HEIGHT;
  }
  // From the lowest up: a label makes room for the one below it, and only as much as that one needs.
  let ceiling = bottom;
  for (const index of order.reverse()) {
    placed[index] = Math.min(placed[index]!, ceiling);
    ceiling = placed[index]! - LABEL_HEIGHT;
  }
  return placed;
}
