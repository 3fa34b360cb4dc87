import { showBytes } from '../base/show-bytes';
import type { RoundView, RunSiteView, RunView } from '../federation/gen/federation/v1/federation_pb';
import { counted, table } from './terminal';

/** How a run looks to a person: a table that is drawn over itself on a terminal, a line for each change elsewhere. */

const BAR_CELLS = 12;

export function runTable(view: RunView): string {
  const { summary } = view;
  const heading = `${summary?.name}  ${summary?.state}  round ${summary?.round}/${summary?.rounds}  ${stageWords(view.stage)}`;
  const rows = view.sites.map((site) => [
    site.site,
    siteState(site),
    progressBar(site),
    showMetrics(site.metrics),
    `${showBytes(Number(site.bytesToSite))} down`,
    `${showBytes(Number(site.bytesFromSite))} up`,
  ]);
  const sites = table([['site', 'state', 'progress', 'metrics', 'received', 'sent'], ...rows]);
  return [heading.trimEnd(), sites, ...courseLines(view)].join('\n');
}

function siteState({ connected, state, staleness }: RunSiteView): string {
  const behind = staleness > 0 ? `, ${counted(staleness, 'model')} behind` : '';
  return `${state}${behind}${connected ? '' : ' (offline)'}`;
}

/** What has no column: what sites wait for, a pause, a drawn cohort, updates that wait to be combined, the best model so far. */
function courseLines({ pause, cohort, sites, buffer, bestRound, stage }: RunView): string[] {
  const lines: string[] = [];
  if (pause)
    lines.push(`paused by ${pause.operator} since ${pause.since}; fails at ${pause.until} unless it is resumed`);
  for (const { site, state, reason } of sites) if (state === 'waiting' && reason) lines.push(`${site} waits ${reason}`);
  const isPart = cohort.length > 0 && cohort.length < sites.length;
  if (isPart && stage === 'train') lines.push(`this round asks ${cohort.join(', ')}`);
  if (buffer) lines.push(`buffer: ${buffer.fill} of ${buffer.size} updates`);
  if (bestRound) lines.push(`best so far: round ${bestRound.round}, ${bestRound.metric} ${bestRound.value.toFixed(3)}`);
  return lines;
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
    statistics: 'each site counts its images',
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
  const stateChange = after.summary?.state === before?.summary?.state ? [] : [stateLine(after)];
  if (!isOver(after)) lines.push(...stateChange);
  const known = new Set(before ? endedRounds(before).map(({ round }) => round) : []);
  for (const round of endedRounds(after)) {
    if (!known.has(round.round)) lines.push(roundLine(round, after));
  }
  const stage = `${after.summary?.round} ${after.stage}`;
  if (after.stage && stage !== `${before?.summary?.round} ${before?.stage}` && after.stage !== 'aggregate') {
    lines.push(`${STAGES_OF_A_ROUND.has(after.stage) ? roundOf(after) : ''}${stageWords(after.stage)}`);
  }
  for (const site of after.sites) {
    const was = before?.sites.find((other) => other.site === site.site);
    if (site.reason && site.reason !== was?.reason) lines.push(`${site.site} ${site.state}: ${site.reason}`);
    if (was && was.connected !== site.connected)
      lines.push(`${site.site} is ${site.connected ? 'connected again' : 'offline'}`);
  }
  if (isOver(after)) lines.push(...stateChange);
  return lines;
}

const STAGES_OF_A_ROUND: ReadonlySet<string> = new Set(['train', 'aggregate', 'evaluate']);

/** Rounds whose figures are final: seconds and evaluations of a round grow until its last stage closes. */
function endedRounds(view: RunView): readonly RoundView[] {
  const current = STAGES_OF_A_ROUND.has(view.stage) ? view.summary?.round : undefined;
  return view.rounds.filter(({ round }) => round !== current);
}

/** True when nothing more will happen to the run. */
export function isOver({ summary }: Pick<RunView, 'summary'>): boolean {
  return ['completed', 'failed', 'aborted'].includes(summary?.state ?? '');
}

function stateLine({ summary }: RunView): string {
  return `run ${summary?.run} is ${summary?.state}${summary?.reason ? `: ${summary.reason}` : ''}`;
}

function roundOf({ summary }: RunView, round = summary?.round): string {
  return `round ${round}/${summary?.rounds}  `;
}

function roundLine(ended: RoundView, view: RunView): string {
  const { round, seconds, metrics, evaluations } = ended;
  const loss = metrics.loss === undefined ? '' : `  loss ${metrics.loss.toFixed(3)}`;
  const sites = evaluations.map(({ site, metrics }) => `  ${site} ${metrics.dice?.toFixed(3) ?? '-'}`);
  const dice = sites.length === 0 ? '' : `  dice${sites.join('').slice(1)}`;
  return `${roundOf(view, round)}${seconds.toFixed(1)} s${loss}${dice}${cohortWords(ended, view)}`;
}

/** Said only of rounds that did not simply ask everybody. */
function cohortWords({ cohort, buffered }: RoundView, view: RunView): string {
  const asked = cohort.length > 0 && cohort.length < view.sites.length ? `  asked ${cohort.join(' ')}` : '';
  const stale = buffered.filter(({ staleness }) => staleness > 0);
  const late = stale.map(({ site, staleness }) => `  ${site} ${counted(staleness, 'model')} behind`);
  return `${asked}${late.join('')}`;
}
