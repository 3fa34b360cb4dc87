import type { StackResult } from '../fleet/conduct';
import type { StackChanges } from '../fleet/stacks-port';
import { table } from './terminal';

/** What happened to resources, in the order in which it matters to a reader. */
const SHOWN = ['create', 'update', 'replace', 'delete'] as const;

const STATES: Readonly<Record<StackResult['state'], string>> = {
  done: 'done',
  'done-before': 'done before',
  absent: 'nothing there',
  failed: 'FAILED',
  interrupted: 'interrupted',
  waiting: 'not begun',
};

export function fleetTable(results: readonly StackResult[]): string {
  const rows = results.map((result) => [
    result.stack,
    STATES[result.state],
    result.state === 'done' ? showChanges(result.changes) : '',
    'seconds' in result ? `${result.seconds.toFixed(1)} s` : '',
  ]);
  return table([['stack', 'result', 'changes', 'time'], ...rows]);
}

/** `2 create, 1 replace`, or `no changes`. */
export function showChanges(changes: StackChanges): string {
  const parts = SHOWN.filter((kind) => changes[kind]).map((kind) => `${changes[kind]} ${kind}`);
  return parts.length === 0 ? 'no changes' : parts.join(', ');
}

/** The result as a record for a machine. */
export function fleetRecord(result: StackResult): Readonly<Record<string, unknown>> {
  if (result.state !== 'failed') return { event: 'stack', ...result };
  const { error, ...rest } = result;
  return { event: 'stack', ...rest, code: error.code, message: error.message };
}
