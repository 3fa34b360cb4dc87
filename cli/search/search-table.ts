import { showBytes } from '../../base/show-bytes';
import type { RunView } from '../../federation/gen/federation/v1/federation_pb';
import { stageWords } from '../run-table';
import { counted, table } from '../terminal';
import type { Candidate } from './candidates';
import { totalRounds } from './halving';
import type { Outcome, Standing } from './ranking';
import type { Search } from './search-file';
import type { JsonValue } from './space';
import type { Trial } from './trials';

/** How a search looks to a person. */

export function searchLine({ id, plan, candidates, rungs, metric, mode }: Search): string {
  const parts = rungs.map(({ trials, rounds }) => `${counted(trials, 'trial')} of ${counted(rounds, 'round')}`);
  const rounds = counted(totalRounds(rungs), 'round');
  const goal = mode === 'max' ? 'most' : 'least';
  return `search ${id} of ${plan.name}: ${counted(candidates.length, 'candidate')}, ${rounds} in all: ${parts.join(', ')}; the ${goal} ${metric} wins`;
}

export function candidateTable(search: Search): string {
  const columns = columnsOf(search);
  const rows = search.candidates.map((candidate) => [String(candidate.number), ...valuesOf(candidate, columns)]);
  return table([['candidate', ...columns.map(({ title }) => title)], ...rows]);
}

/** What goes on in a rung right now: one of these a trial. */
export interface RungRow {
  readonly trial: Trial;
  readonly view?: RunView | undefined;
  readonly outcome?: Outcome | undefined;
}

/** Trials that go on first. @param height lines, at most */
export function rungTable(search: Search, rung: number, rows: readonly RungRow[], height: number): string {
  const columns = columnsOf(search);
  const { trials, rounds } = search.rungs[rung - 1]!;
  const done = rows.filter(({ outcome }) => outcome).length;
  const heading = `search ${search.id}  rung ${rung}/${search.rungs.length}  ${done} of at most ${trials} trials of ${counted(rounds, 'round')} done`;
  const inOrder = [...rows.filter(({ outcome }) => !outcome), ...rows.filter(({ outcome }) => outcome)];
  const shown = inOrder.slice(0, Math.max(height - 3, 1));
  const cells = shown.map(({ trial, view, outcome }) => [
    String(trial.candidate.number),
    ...valuesOf(trial.candidate, columns),
    outcome ? valueWords(outcome, search) : stateWords(view),
  ]);
  const hidden = rows.length - shown.length;
  const more = hidden > 0 ? [`and ${hidden} more`] : [];
  return [heading, table([['candidate', ...columns.map(({ title }) => title), 'state'], ...cells]), ...more].join('\n');
}

export function outcomeLine(outcome: Outcome, search: Search): string {
  const { candidate, rung, roundsDone, bytes, seconds, judgements, value } = outcome;
  const cost = `${counted(roundsDone, 'round')}, ${showBytes(bytes)}, ${seconds.toFixed(1)} s`;
  const judges = value === null ? '' : `  judged by ${judgements.map(({ site }) => site).join(' ')}`;
  return `rung ${rung}/${search.rungs.length}  candidate ${candidate}  ${valueWords(outcome, search)}  (${cost})${judges}`;
}

/** With a column more when trials were judged by different sites. */
export function rankingTable(search: Search, standings: readonly Standing[]): string {
  const columns = columnsOf(search);
  const hasCompared = standings.some(({ value, compared }) => compared !== value);
  const rows = standings.map((outcome, index) => [
    String(index + 1),
    String(outcome.candidate),
    ...valuesOf(search.candidates[outcome.candidate - 1]!, columns),
    `${outcome.roundsDone}/${outcome.rounds}`,
    ...[outcome.value, ...(hasCompared ? [outcome.compared] : [])].map((value) =>
      value === null ? '-' : showFigure(value),
    ),
    showBytes(outcome.bytes),
    outcome.run || '-',
    outcome.reason,
  ]);
  const heading = ['rank', 'candidate', ...columns.map(({ title }) => title), 'rounds', search.metric];
  heading.push(...(hasCompared ? ['as if by all sites'] : []), 'moved', 'run');
  return table([[...heading, ''], ...rows]);
}

function valueWords({ value, reason }: Outcome, { metric }: Search): string {
  return value === null ? reason : `${metric} ${showFigure(value)}`;
}

function stateWords(view: RunView | undefined): string {
  if (!view) return 'submitted';
  const { summary, stage } = view;
  return `round ${summary?.round}/${summary?.rounds}  ${summary?.state === 'paused' ? 'paused' : stageWords(stage)}`;
}

/** Four digits behind a point tell candidates apart that three would not. */
export function showFigure(value: number): string {
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e6 ? value.toFixed(4) : value.toPrecision(4);
}

interface Column {
  readonly path: string;
  /** The last key of the path, where that tells it from the others. */
  readonly title: string;
}

function columnsOf({ candidates }: Search): Column[] {
  const paths = Object.keys(candidates[0]!.parameters);
  const lastKey = (path: string): string => path.split('.').at(-1)!;
  return paths.map((path) => {
    const isAlone = paths.filter((other) => lastKey(other) === lastKey(path)).length === 1;
    return { path, title: isAlone ? lastKey(path) : path };
  });
}

function valuesOf({ parameters }: Candidate, columns: readonly Column[]): string[] {
  return columns.map(({ path }) => showParameter(parameters[path]!));
}

const LONGEST_VALUE = 48;

function showParameter(value: JsonValue): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length <= LONGEST_VALUE ? text : `${text.slice(0, LONGEST_VALUE - 3)}...`;
}
