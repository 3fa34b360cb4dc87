import { escapeHtml } from '../../base/html';
import type { MergedStatistics, MergedVariable } from '../../federation/statistics';
import { notes, shortNumber, siteLines, VARIABLE_HEADING, variableCells } from '../statistics-table';
import { htmlPage, htmlTable } from './html';

export interface StatisticsReport {
  readonly run: string;
  readonly merged: MergedStatistics;
  readonly bySite: ReadonlyMap<string, MergedStatistics>;
}

/** What the sites hold as one self-contained page: no script, no font, nothing from elsewhere. */
export function statisticsPage({ run, merged, bySite }: StatisticsReport): string {
  const title = `Statistics of the federation, ${run}`;
  const remarks = [...siteLines(merged), ...notes(merged)];
  return htmlPage(
    title,
    `<ul>${remarks.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ul>
<section aria-labelledby="all"><h2 id="all">All sites together</h2>
${htmlTable('Variables', VARIABLE_HEADING, merged.variables.map(variableCells))}
${merged.variables.map((variable) => histogramFigure(variable)).join('')}</section>
${[...bySite].map(([site, own], index) => siteSection(site, own, index)).join('')}`,
  );
}

function siteSection(site: string, own: MergedStatistics, index: number): string {
  if (own.variables.length === 0) return '';
  const table = htmlTable(`Variables of ${site}`, VARIABLE_HEADING, own.variables.map(variableCells));
  return `<section aria-labelledby="site-${index}"><h2 id="site-${index}">${escapeHtml(site)}</h2>
${table}
</section>`;
}

const WIDTH = 660;
const HEIGHT = 120;
const BELOW = 22;

/** Bars of the bins between the lowest and the highest that is filled; what lies outside of the range is said beside. */
function histogramFigure({ name, unit, low, high, weights }: MergedVariable): string {
  const bins = weights.slice(1, -1);
  const first = bins.findIndex((weight) => weight > 0);
  if (first < 0) return '';
  const last = bins.findLastIndex((weight) => weight > 0);
  const shown = bins.slice(first, last + 1);
  const top = Math.max(...shown);
  const width = (high - low) / bins.length;
  const step = WIDTH / shown.length;
  const bars = shown.map((weight, at) => {
    const height = (weight / top) * HEIGHT;
    return `<rect x="${(at * step).toFixed(2)}" y="${(HEIGHT - height).toFixed(2)}" width="${(step * 0.92).toFixed(2)}" height="${height.toFixed(2)}" fill="#0072b2"/>`;
  });
  const [from, to] = [low + first * width, low + (last + 1) * width].map((edge) => `${shortNumber(edge)} ${unit}`);
  const outside = [weights[0]!, weights.at(-1)!].reduce((sum, weight) => sum + weight, 0);
  const beside = outside > 0 ? `; outside of the range: ${shortNumber(outside)}` : '';
  const label = `${name}, ${from} to ${to}${beside}`;
  return `<figure><svg viewBox="0 0 ${WIDTH} ${HEIGHT + BELOW}" role="img" aria-label="${escapeHtml(`Histogram of ${label}`)}">${bars.join('')}
<text x="0" y="${HEIGHT + 16}">${escapeHtml(from!)}</text><text x="${WIDTH}" y="${HEIGHT + 16}" text-anchor="end">${escapeHtml(to!)}</text></svg>
<figcaption>${escapeHtml(label)}</figcaption></figure>
`;
}
