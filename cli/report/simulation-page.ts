import { escapeHtml } from '../../base/html';
import { showBytes } from '../../base/show-bytes';
import type { RoundRecord } from '../../simulation/history';
import type { SimulationResult } from '../simulate/lines';
import type { SimulateSettings } from '../simulate/settings';
import { figureList, htmlPage, htmlTable } from './html';
import { type Line, lineChart } from './line-chart';

export interface SimulationReport {
  readonly settings: SimulateSettings;
  readonly rounds: readonly RoundRecord[];
  readonly result: SimulationResult;
}

/** What a simulated run did as one self-contained page: no script, no font, nothing from elsewhere. */
export function simulationPage({ settings, rounds, result }: SimulationReport): string {
  const title = `Simulation of ${settings.plan.name}`;
  return htmlPage(
    title,
    `<p class="notice" role="note"><strong>Simulated sites.</strong> They shared one process and one machine. Rounds and bytes are what a federation would take; seconds
are not.</p>
${figures(settings, rounds, result)}
<section aria-labelledby="rounds"><h2 id="rounds">The global model, round by round</h2>
<p>Means over the sites, weighted by their held-out cases.</p>
${chart(rounds)}
${table(rounds)}</section>
<p>Model <code>${escapeHtml(result.modelDigest)}</code>, run <code>${escapeHtml(result.run)}</code> ${escapeHtml(result.state)}${result.reason ? `: ${escapeHtml(result.reason)}` : ''}.</p>`,
  );
}

function figures(
  { plan, sites, dataset, skew, drop, attack }: SimulateSettings,
  rounds: readonly RoundRecord[],
  result: SimulationResult,
) {
  const moved = rounds.reduce((sum, round) => sum + round.bytesToSites + round.bytesFromSites, 0);
  const facts: readonly (readonly [string, string])[] = [
    ['sites', String(sites.length)],
    ['rounds', String(rounds.length)],
    ['strategy', plan.strategy.name],
    ['data', dataset.kind],
    ['division', skew === undefined ? 'all alike' : `Dirichlet ${skew}`],
    ['chance to fail a round', String(drop)],
    ['hostile sites', attack ? `${attack.sites.length} (${attack.kind})` : 'none'],
    ['seed', String(plan.seed)],
    ['weights that would travel', showBytes(moved)],
    ['time in all', `${result.seconds.toFixed(1)} s`],
  ];
  return figureList(facts);
}

/** Metrics between 0 and 1 share a scale; losses are in the table. */
function chart(rounds: readonly RoundRecord[]): string {
  const lines: Line[] = metricNames(rounds)
    .map((name) => ({ name, values: rounds.map(({ evaluation }) => evaluation[name]) }))
    .filter(
      ({ name, values }) => !/loss|objective/.test(name) && values.every((value = 0) => value >= 0 && value <= 1),
    );
  if (lines.length === 0) return '<p>No metric between 0 and 1 was reported.</p>';
  const [first, ...others] = lines;
  return lineChart(
    'Metrics of the global model per round',
    rounds.map(({ round }) => round),
    [...others, { ...first!, strong: true }],
  );
}

function metricNames(rounds: readonly RoundRecord[]): string[] {
  return [...new Set(rounds.flatMap(({ evaluation }) => Object.keys(evaluation)))];
}

function table(rounds: readonly RoundRecord[]): string {
  const names = metricNames(rounds);
  const head = ['round', ...names, 'training loss', 'sites', 'to sites', 'from sites', 'seconds'];
  const rows = rounds.map((round) => [
    String(round.round),
    ...names.map((name) => round.evaluation[name]?.toFixed(4) ?? '-'),
    round.training.loss?.toFixed(4) ?? '-',
    `${round.contributors} of ${round.asked}`,
    showBytes(round.bytesToSites),
    showBytes(round.bytesFromSites),
    round.seconds.toFixed(1),
  ]);
  return htmlTable('Metrics, sites, bytes and time of each round', head, rows);
}
