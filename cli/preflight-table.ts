import type { PreflightCheck } from '../fl-site/preflight/preflight';
import { table } from './terminal';

const MARKS = { ok: 'ok', warning: 'warning', failed: 'FAILED', skipped: '-' } as const;

/** Lines of a table: what was found by each check, and below it, where something is to be done, what. */
export function preflightTable(checks: readonly PreflightCheck[]): string[] {
  const rows = checks.flatMap(({ name, outcome, found, mend }) => [
    [name, MARKS[outcome], found],
    ...(mend ? [['', '', `-> ${mend}`]] : []),
  ]);
  return table([['check', 'outcome', 'found'], ...rows]).split('\n');
}
