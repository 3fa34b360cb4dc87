import { table } from '../../cli/terminal';
import type { StrategyRow } from '../strategies-bench';
import { CONTESTANTS } from './contestants';

/** The lines of a comparison as tables, one for each problem, division and attack. */
export function comparisonTables(rows: readonly StrategyRow[]): string {
  const groups = new Map<string, StrategyRow[]>();
  for (const row of rows) {
    const title = titleOf(row);
    groups.set(title, [...(groups.get(title) ?? []), row]);
  }
  return [...groups].map(([title, group]) => `${title}\n${table(cellsOf(group))}`).join('\n\n');
}

function titleOf({ problem, division, attack, target, rounds }: StrategyRow): string {
  const goal = problem === 'softmax' ? `${target * 100} % of the excess is left` : `mean Dice is ${target}`;
  const hostile = attack === 'none' ? '' : `, 2 hostile sites of 12 (${attack})`;
  return `${problem}, sites ${division}${hostile}: rounds until ${goal}, of ${rounds}`;
}

function cellsOf(rows: readonly StrategyRow[]): string[][] {
  const value = rows[0]?.problem === 'softmax' ? 'least excess' : 'best Dice';
  const order = CONTESTANTS.map(({ name }) => name);
  const sorted = [...rows].sort((a, b) => order.indexOf(a.strategy) - order.indexOf(b.strategy));
  const lines = sorted.map(({ strategy, roundsToTarget, best, last, setting, failed }) => [
    strategy,
    roundsToTarget === undefined ? '-' : String(roundsToTarget),
    shown(best),
    shown(last),
    failed ? `${setting}; failed: ${failed.slice(0, 60)}` : setting,
  ]);
  return [['strategy', 'rounds', value, 'at the end', 'setting'], ...lines];
}

const shown = (value: number): string => (Number.isFinite(value) ? value.toPrecision(3) : 'none');
