import type { RunSiteView, RunView } from '../federation/gen/federation/v1/federation_pb';
import { showBytes, table } from './terminal';

/** How a run looks to a person: a table that is drawn over itself on a terminal, a line for each change elsewhere. */

const BAR_CELLS = 12;

export function runTable(view: RunView): string {
  const { summary } = view;
  const heading = `${summary?.name}  ${summary?.state}  round ${summary?.round}/${summary?.rounds}  ${stageWords(view.stage)}`;
  const rows = view.sites.map((site) => [
    site.site,
    site.connected ? site.state : `${site.state} (offline)`,
    progressBar(site),
    showMetrics(site.metrics),
    `${showBytes(Number(site.bytesToSite))} down`,
    `${showBytes(Number(site.bytesFromSite))} up`,
  ]);
  return `${heading.trimEnd()}\n${table([['site', 'state', 'progress', 'metrics', 'received', 'sent'], ...rows])}`;
}

export function stageWords(stage: string): string {
  const words: Readonly<Record<string, string>> = {
    approve: 'waiting for approval',
    initialise: 'making the initial model',
    train: 'training',
    aggregate: 'aggregating',
    evaluate: 'evaluating the global model',
    'train-alone': 'each site trains alone, for comparison',
    'cross-evaluate': 'every model on every site',
  };
  return words[stage] ?? stage;
}

function progressBar(site: RunSiteView): string {
  const filled = Math.round(Math.min(Math.max(site.fraction, 0), 1) * BAR_CELLS);
  return `${'#'.repeat(filled)}${'.'.repeat(BAR_CELLS - filled)} ${String(Math.round(site.fraction * 100)).padStart(3)}%`;
}

function showMetrics(metrics: Readonly<Record<string, number>>): string {
  const shown = ['loss', 'dice'].filter((name) => metrics[name] !== undefined);
  return shown.map((name) => `${name} ${metrics[name]!.toFixed(3)}`).join(' ');
}

/** What changed between two views, as lines: rounds that ended, stages that began, sites that fell out. */
export function changeLines(before: RunView | undefined, after: RunView): string[] {
  const lines: string[] = [];
  const known = new Map(before?.rounds.map((round) => [round.round, round.evaluations.length]));
  for (const round of after.rounds) {
    const evaluated = round.evaluations.length;
    if (evaluated === known.get(round.round) || evaluated < round.contributors.length) continue;
    const dice = round.evaluations.map(({ site, metrics }) => `${site} ${metrics.dice?.toFixed(3) ?? '-'}`).join('  ');
    const loss = round.metrics.loss === undefined ? '' : `  loss ${round.metrics.loss.toFixed(3)}`;
    lines.push(`round ${round.round}/${after.summary?.rounds}  ${round.seconds.toFixed(1)} s${loss}  dice ${dice}`);
  }
  const stage = `${after.summary?.round} ${after.stage}`;
  if (after.stage && stage !== `${before?.summary?.round} ${before?.stage}` && after.stage !== 'aggregate') {
    lines.push(`round ${after.summary?.round}/${after.summary?.rounds}  ${stageWords(after.stage)}`);
  }
  for (const site of after.sites) {
    const was = before?.sites.find((other) => other.site === site.site);
    if (site.reason && site.reason !== was?.reason) lines.push(`${site.site} ${site.state}: ${site.reason}`);
    if (was && was.connected !== site.connected)
      lines.push(`${site.site} is ${site.connected ? 'connected again' : 'offline'}`);
  }
  if (after.summary?.state !== before?.summary?.state) {
    const reason = after.summary?.reason ? `: ${after.summary.reason}` : '';
    lines.push(`run ${after.summary?.run} is ${after.summary?.state}${reason}`);
  }
  return lines;
}
