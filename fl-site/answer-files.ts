import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { syncFolder, writeFileDurably } from '../base/durable-file';
import { link, readFile, rm } from '../base/files';
import { hasSystemCode, unlessCode } from '../base/system-codes';

/** Questions to the people of a hospital and their answers are files: the agent and a command, of which either may die, meet there. */

/** Makes a file, whole and durable, unless it is there. @returns false when it was there: of two answers the first counts */
export async function writeOnce(file: string, text: string): Promise<boolean> {
  const aside = `${file}.${randomBytes(6).toString('hex')}`;
  await writeFileDurably(aside, text);
  try {
    await link(aside, file);
  } catch (error) {
    if (hasSystemCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await rm(aside, { force: true });
  }
  await syncFolder(path.dirname(file));
  return true;
}

export function readIfThere(file: string): Promise<string | undefined> {
  return unlessCode(readFile(file, 'utf8'), 'ENOENT');
}
