import { showBytes } from '../base/show-bytes';
import type {
  LineageStep,
  ModelSiteView,
  ModelVersionView,
  ModelView,
} from '../federation/gen/federation/v1/federation_pb';
import { showVersion } from '../federation/model-name';
import { registeredCardSchema } from '../federation/registered-model';
import type { Metrics } from '../federation/trainer-contract';
import { table } from './terminal';

/** Registered models as a person reads them and as a machine does. */

export function versionTable(versions: readonly ModelVersionView[]): string {
  const rows = versions.map((one) => [
    showVersion(one),
    one.stage,
    `${one.run} round ${one.round}`,
    one.registeredAt,
    one.digest.slice(0, 19),
    one.promotedTo.join(' '),
  ]);
  return table([['model', 'stage', 'from', 'registered', 'digest', 'promoted to'], ...rows]);
}

/** A version as a record: its card in place of text that holds JSON. */
export function versionRecord({ $typeName: _, cardJson, ...version }: ModelVersionView) {
  return { ...version, card: JSON.parse(cardJson) as unknown };
}

export function modelRecord({ version, lineage, sites }: ModelView) {
  return {
    ...versionRecord(version!),
    lineage: lineage.map(({ $typeName: _, ...step }) => step),
    sites: sites.map(({ $typeName: _, ...site }) => site),
  };
}

export function modelLines({ version, lineage, sites }: ModelView): string[] {
  const card = registeredCardSchema.parse(JSON.parse(version!.cardJson));
  const told = [
    `${showVersion(card)}  ${version!.stage}  ${showBytes(card.bytes)}  ${card.digest}`,
    ...(card.description ? [card.description] : []),
    ...(card.licence ? [`licence ${card.licence}`] : []),
    `registered ${card.registeredAt} by ${card.operator}`,
    '',
    'trained from',
    ...lineage.slice(1).map((step, depth) => `${'  '.repeat(depth)}${depth > 0 ? '^ ' : ''}${stepLine(step)}`),
  ];
  if (card.sites.length > 0) told.push('', contributionTable(card.sites, card.metrics));
  if (sites.length > 0) told.push('', siteTable(sites));
  return told;
}

function stepLine({ kind, model, version, run, round, digest, sites }: LineageStep): string {
  const short = digest.slice(0, 19);
  switch (kind) {
    case 'run':
      return `run ${run} round ${round}  ${short}${sites.length > 0 ? `  of ${sites.join(', ')}` : ''}`;
    case 'registered':
      return `${showVersion({ model, version })}  ${short}`;
    case 'file':
      return `a file of an operator  ${digest}`;
    default:
      return `weights that the trainer of ${sites.join(', ') || 'a site'} made  ${short}`;
  }
}

function contributionTable(
  sites: readonly { readonly site: string; readonly rounds: number; readonly samples: number }[],
  { sites: judged, mean }: { readonly sites: readonly { site: string; metrics: Metrics }[]; readonly mean: Metrics },
): string {
  const names = [...new Set(judged.flatMap(({ metrics }) => Object.keys(metrics)))];
  const figures = (metrics: Metrics | undefined) => names.map((name) => metrics?.[name]?.toFixed(3) ?? '-');
  const rows = sites.map(({ site, rounds, samples }) => [
    site,
    String(rounds),
    String(samples),
    ...figures(judged.find((one) => one.site === site)?.metrics),
  ]);
  if (names.length > 0) rows.push(['mean', '', '', ...figures(mean)]);
  return table([['site', 'rounds', 'samples', ...names], ...rows]);
}

function siteTable(sites: readonly ModelSiteView[]): string {
  const rows = sites.map((one) => [
    one.site,
    String(one.version),
    one.state === 'waiting' ? 'waiting for approval' : one.state,
    one.serving || '-',
    one.changedAt,
    one.reason,
  ]);
  return table([['site', 'promoted', 'state', 'serves', 'since', 'reason'], ...rows]);
}
