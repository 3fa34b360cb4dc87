import type { Dirent } from 'node:fs';
import { ClaraError } from './errors';
import { readdir } from './files';
import { hasSystemCode } from './system-codes';

/** What lies in a folder; nothing when there is none. */

/** Names of all that is in it. @param doing what fails, in the words of an error @throws ClaraError as the system's error says */
export async function namesIn(folder: string, doing = `listing ${folder}`): Promise<string[]> {
  return (await entriesIn(folder, doing)).map(({ name }) => name);
}

/** Names of the folders in it. @throws ClaraError as {@link namesIn} */
export async function foldersIn(folder: string, doing = `listing ${folder}`): Promise<string[]> {
  return (await entriesIn(folder, doing)).filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

async function entriesIn(folder: string, doing: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT')) return [];
    throw ClaraError.from(error, doing);
  }
}
