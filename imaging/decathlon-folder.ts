import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { ClaraError, type Fault } from '../base/errors';
import { type DecathlonList, parseDecathlonList } from './decathlon-list';

/** A list together with the folder in which its files lie; every file of it has been seen to exist. */
export interface DecathlonDataset extends DecathlonList {
  /** Absolute path. */
  readonly folder: string;
}

export const LIST_FILE = 'dataset.json';

/** @throws ClaraError not-found, or invalid-input with every fault of the list and every file that is missing */
export async function openDecathlonFolder(given: string): Promise<DecathlonDataset> {
  const folder = path.resolve(given);
  const file = path.join(folder, LIST_FILE);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw ClaraError.from(error, `${folder} is no Decathlon dataset`);
  }
  const list = parseDecathlonList(text, file);
  const faults: Fault[] = [];
  for (const relative of filesOf(list)) {
    const there = await stat(path.join(folder, relative)).catch(() => undefined);
    if (there?.isFile() !== true)
      faults.push({ path: relative, rule: 'is listed, so it must be a file in the folder' });
  }
  if (faults.length > 0) throw ClaraError.ofFaults(file, faults);
  return { ...list, folder };
}

/** Every file that a list names: images first, then labels, in order. */
export function filesOf(list: DecathlonList): string[] {
  const labelled = [...list.training, ...list.validation];
  return [...labelled, ...list.test].map(({ image }) => image).concat(labelled.map(({ label }) => label));
}
