import path from 'node:path';
import { PACKAGE_ROOT } from '../../base/own-program';

/** A `clara-fed` command that a person can paste into the shell in which this program was started. */
export function ownCommand(...args: readonly string[]): string {
  const program = path.join(PACKAGE_ROOT, 'bin', 'clara-fed');
  const near = path.relative('', program);
  return ['node', near.startsWith('..') ? program : near, ...args].map(quoted).join(' ');
}

/** One word of a POSIX shell (Shell Command Language, 2.2.2). */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
