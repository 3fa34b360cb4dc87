import { showBytes } from '../../base/show-bytes';
import type { Plan } from '../../federation/plan';
import type { Metrics } from '../../federation/trainer-contract';
import type { RoundRecord } from '../../simulation/history';
import { counted, type Terminal } from '../terminal';
import type { SimulateSettings } from './settings';
import type { SimulationWorkspace } from './workspace';

/** How a simulation looks to a person. */

export interface SimulationResult {
  readonly run: string;
  readonly state: string;
  readonly reason: string;
  readonly modelDigest: string;
  readonly seconds: number;
  readonly problems: number;
}

export function startLines(settings: SimulateSettings, root: string): string[] {
  const { plan, sites, dataset, skew, drop, slow, attack } = settings;
  const data = dataset.kind === 'decathlon' ? dataset.path : dataset.kind;
  const like = skew === undefined ? 'all alike' : `unlike by Dirichlet(${skew})`;
  const trouble = [
    ...(drop > 0 ? [`each fails a round with chance ${drop}`] : []),
    ...(slow ? [`${Math.round(slow.share * 100)} % take ${slow.millis / 1000} s longer`] : []),
    ...(attack ? [`${counted(attack.sites.length, 'site')} of them hostile (${attack.kind} x ${attack.scale})`] : []),
  ];
  return [
    `${counted(sites.length, 'simulated site')}, ${like}, train ${plan.name} with ${plan.strategy.name} on ${data}; seed ${plan.seed}`,
    ...trouble,
    `everything is kept in ${root}`,
  ];
}

/** Metrics that a person looks at first, in this order; others follow as the trainer told them. */
const FIRST = ['dice', 'accuracy', 'objective', 'loss'];
const MOST_SHOWN = 3;

export function roundLine(round: RoundRecord, { rounds, earlyStop }: Plan): string {
  const loss = round.training.loss === undefined ? '' : `  training loss ${round.training.loss.toFixed(4)}`;
  return [
    `round ${round.round}/${rounds}`,
    showMetrics(round.evaluation, earlyStop?.metric),
    `${round.contributors} of ${round.asked} sites`,
    `${round.seconds.toFixed(1)} s`,
    `${showBytes(round.bytesToSites)} down, ${showBytes(round.bytesFromSites)} up${loss}`,
  ]
    .filter((part) => part !== '')
    .join('  ');
}

function showMetrics(metrics: Metrics, wanted: string | undefined): string {
  const order = [...(wanted === undefined ? [] : [wanted]), ...FIRST, ...Object.keys(metrics)];
  const names = [...new Set(order)].filter((name) => metrics[name] !== undefined).slice(0, MOST_SHOWN);
  return names.map((name) => `${name} ${metrics[name]!.toFixed(4)}`).join('  ');
}

export interface Concluded {
  readonly settings: SimulateSettings;
  readonly rounds: readonly RoundRecord[];
  readonly result: SimulationResult;
  readonly workspace: SimulationWorkspace;
}

export function conclude(terminal: Terminal, { settings, rounds, result, workspace }: Concluded): void {
  const { run, modelDigest, seconds, reason, problems } = result;
  const last = rounds.at(-1);
  const bytes = rounds.reduce((sum, { bytesToSites, bytesFromSites }) => sum + bytesToSites + bytesFromSites, 0);
  const lost = rounds.reduce((sum, { asked, contributors }) => sum + Math.max(asked - contributors, 0), 0);
  terminal.line();
  terminal.line(`${counted(rounds.length, 'round')} in ${seconds.toFixed(1)} s${reason ? `; ${reason}` : ''}`);
  if (last)
    terminal.line(`reached  ${showMetrics(last.evaluation, settings.plan.earlyStop?.metric) || 'not evaluated'}`);
  terminal.line(`moved    ${showBytes(bytes)} of weights would travel; ${counted(lost, 'update')} did not come`);
  terminal.line(`model    ${modelDigest}`);
  terminal.line(`         ${workspace.model}`);
  terminal.line(`history  ${workspace.history}`);
  terminal.line(`report   ${workspace.report}`);
  terminal.record({
    event: 'done',
    ...{ run, modelDigest, reason, rounds: rounds.length, evaluation: last?.evaluation ?? {}, bytes, lost, seconds },
    ...{ problems, model: workspace.model, history: workspace.history, report: workspace.report },
  });
}
