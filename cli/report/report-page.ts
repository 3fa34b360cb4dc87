import { escapeHtml } from '../../base/html';
import { showBytes } from '../../base/show-bytes';
import { type Cell, figureList, htmlPage, htmlTable } from './html';
import { lineChart } from './line-chart';
import { meanOf, type ReportData } from './report-data';

/** The report of a run as one self-contained page: no script, no font, nothing from elsewhere. */
export function reportPage(data: ReportData): string {
  return htmlPage(
    data.title,
    `${data.synthetic ? SYNTHETIC_NOTICE : ''}
${figures(data)}
<section aria-labelledby="rounds"><h2 id="rounds">The global model, round by round</h2>
<p>Dice of the global model on the held-out cases of every site (1 is perfect). Each site sees only its own images; what travels is weights.</p>
${diceChart(data)}
${roundTable(data)}</section>
<section aria-labelledby="matrix"><h2 id="matrix">What federation bought</h2>
<p>Each row is a model, each column a hospital whose held-out cases it was tried on. A site's own model was trained on that site's images alone, from the same
start, with the same amount of work. Read a row from left to right: how far does a model travel?</p>
${matrixTable(data)}</section>
<section aria-labelledby="scan"><h2 id="scan">${data.synthetic ? 'A scan that no site has seen' : 'A scan that no site has trained on'}</h2>
<p>${escapeHtml(data.scan.name)}, sent to the annotation server as 3D Slicer sends it and segmented with the finished model in ${data.scan.seconds.toFixed(1)} s:
Dice ${data.scan.dice.toFixed(3)}. <span class="key truth">truth</span> <span class="key prediction">prediction</span></p>
<div class="slices">${data.scan.slices.map(sliceFigure).join('')}</div></section>
<section aria-labelledby="next"><h2 id="next">Go on from here</h2>
${data.slicerUrlNow ? `<p>As long as the demonstration is up, 3D Slicer finds the model at <code>${escapeHtml(data.slicerUrlNow)}</code>.</p>` : ''}
<p>Serve this model to 3D Slicer (Segment Editor, effect Nvidia AIAA, server <code>${escapeHtml(data.slicerUrl)}</code>):</p>
<pre>${escapeHtml(data.serveCommand)}</pre>
<p>The mask is in <code>${escapeHtml(data.maskFile)}</code>, on the grid of the scan.</p>
<p>Model <code>${escapeHtml(data.modelDigest)}</code>. The same seed (${data.seed}) gives the same digest.</p></section>`,
  );
}

const SYNTHETIC_NOTICE = `<p class="notice" role="note"><strong>Synthetic data.</strong> The images are computed phantoms. These figures show that the federation works; they say nothing about
clinical quality.</p>`;

function figures(data: ReportData): string {
  const last = data.rounds.at(-1);
  const moved = data.rounds.reduce((sum, round) => sum + round.bytesToSites + round.bytesFromSites, 0);
  const facts: readonly (readonly [string, string])[] = [
    ['mean Dice', last?.meanDice?.toFixed(3) ?? 'none'],
    ['hospitals', String(data.sites.length)],
    ['rounds', String(data.rounds.length)],
    ['strategy', data.strategy],
    ['time in all', `${data.seconds.toFixed(0)} s`],
    ['model', showBytes(data.modelBytes)],
    ['weights moved', showBytes(moved)],
    ['images moved', 'none'],
    ['peak memory of a site', showBytes(Math.max(...data.peakRssBytes.map(({ bytes }) => bytes)))],
  ];
  return figureList(facts);
}

function diceChart(data: ReportData): string {
  const lines = data.sites.map(({ site }, index) => ({
    name: site,
    values: data.rounds.map(({ dice }) => dice[index]),
  }));
  return lineChart(
    'Dice of the global model per round and site',
    data.rounds.map(({ round }) => round),
    [...lines, { name: 'mean', values: data.rounds.map(({ meanDice }) => meanDice), strong: true }],
  );
}

function roundTable(data: ReportData): string {
  const head = ['round', ...data.sites.map(({ site }) => site), 'mean', 'loss', 'seconds', 'to sites', 'from sites'];
  const rows = data.rounds.map((round) => [
    String(round.round),
    ...round.dice.map(showDice),
    showDice(round.meanDice),
    round.loss?.toFixed(3) ?? '-',
    round.seconds.toFixed(1),
    showBytes(round.bytesToSites),
    showBytes(round.bytesFromSites),
  ]);
  return htmlTable('Dice, training loss, time and bytes of each round', head, rows);
}

function matrixTable(data: ReportData): string {
  const head = ['model', ...data.sites.map(({ site }) => site), 'mean'];
  const rows = data.matrix.map(({ model, dice }) => [model, ...[...dice, meanOf(dice)].map(heatCell)]);
  return htmlTable('Mean Dice: model (row) on the held-out cases of a site (column)', head, rows);
}

/** Darker is better; the darkest ground still gives the text a contrast of more than 4.5:1 (WCAG 2.2, 1.4.3). */
function heatCell(value: number | undefined): Cell {
  if (value === undefined) return { text: '-' };
  const lightness = 97 - 37 * Math.min(Math.max((value - 0.5) / 0.5, 0), 1);
  return {
    text: value.toFixed(3),
    style: `background:hsl(208 70% ${lightness.toFixed(0)}%);color:#111`,
  };
}

function sliceFigure({ plane, url, width, height }: ReportData['scan']['slices'][number]): string {
  const alt = `${plane} slice of the scan with truth and prediction`;
  return `<figure><img src="${escapeHtml(url)}" width="${width}" height="${height}" alt="${escapeHtml(alt)}"><figcaption>${escapeHtml(plane)}</figcaption></figure>`;
}

function showDice(value: number | undefined): string {
  return value?.toFixed(3) ?? '-';
}
