import { existsSync } from 'node:fs';
import path from 'node:path';

/**
 * True unless the command's code was left out: an image holds the commands of its programs and no others
 * (`images/contents.ts`), and its help names no other.
 *
 * @param command name of a file in `commands/`
 */
export function isInstalled(command: string): boolean {
  return existsSync(path.join(__dirname, 'commands', command + path.extname(__filename)));
}
