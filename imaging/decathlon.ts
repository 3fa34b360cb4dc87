import { constants } from 'node:fs';
import { copyFile, link, mkdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { writeFileDurably } from '../base/durable-file';
import { ClaraError } from '../base/errors';
import { hasSystemCode } from '../base/system-codes';
import type { ExtractOptions } from '../base/tar-archive';
import { type DecathlonDataset, filesOf, LIST_FILE, openDecathlonFolder } from './decathlon-folder';
import { type DecathlonCase, type DecathlonList, formatDecathlonList, parseDecathlonList } from './decathlon-list';
import { extractDecathlon } from './decathlon-tar';

export { type DecathlonDataset, filesOf } from './decathlon-folder';
export type { DecathlonCase, DecathlonList, LabelledCase } from './decathlon-list';
export { extractDecathlon } from './decathlon-tar';
export { divideCases, type SiteShare } from './divide-cases';

export interface OpenOptions extends ExtractOptions {
  /** Where a `.tar` is unpacked to, once: a folder that is there already is used as it is. */
  readonly extractTo?: string;
}

/**
 * Opens a Decathlon folder, or an archive such as `Task09_Spleen.tar` after unpacking it to `extractTo`.
 *
 * @throws ClaraError not-found, or invalid-input with every fault of the list and every file that is missing
 */
export async function openDecathlon(source: string, options: OpenOptions = {}): Promise<DecathlonDataset> {
  let isFolder: boolean;
  try {
    isFolder = (await stat(source)).isDirectory();
  } catch (error) {
    throw ClaraError.from(error, `cannot open the dataset ${source}`);
  }
  if (isFolder) return openDecathlonFolder(path.resolve(source));
  if (options.extractTo === undefined) {
    throw new ClaraError('invalid-input', `${source} is an archive: name a folder to unpack it to, or give a folder`);
  }
  await extractDecathlon(source, options.extractTo, options);
  return openDecathlonFolder(path.resolve(options.extractTo));
}

/** Absolute path of a case's image. */
export function imagePath(dataset: DecathlonDataset, { image }: DecathlonCase): string {
  return path.join(dataset.folder, image);
}

/** Absolute path of a case's label. */
export function labelPath(dataset: DecathlonDataset, { label }: { readonly label: string }): string {
  return path.join(dataset.folder, label);
}

/**
 * Writes `dataset.json` for files that lie in `folder` already, and opens the result.
 *
 * @throws ClaraError invalid-input when the list would not open
 */
export async function writeDecathlon(folder: string, list: DecathlonList): Promise<DecathlonDataset> {
  const text = formatDecathlonList(list);
  parseDecathlonList(text, path.join(folder, LIST_FILE));
  await writeFileDurably(path.join(folder, LIST_FILE), text);
  return openDecathlonFolder(path.resolve(folder));
}

export interface SiteDatasetOptions {
  /** `link` shares the bytes with the source where the file system can, `copy` never does. @default 'link' */
  readonly how?: 'link' | 'copy';
  /** @default the name of the source */
  readonly name?: string;
}

/**
 * Makes one site's share a dataset of its own: its training cases in `training`, its held-out cases in `validation`. May be
 * repeated; files that are there are replaced.
 */
export async function writeSiteDataset(
  source: DecathlonDataset,
  share: Pick<DecathlonList, 'training'> & { readonly heldOut: DecathlonList['validation'] },
  folder: string,
  options: SiteDatasetOptions = {},
): Promise<DecathlonDataset> {
  const { how = 'link', name = source.name } = options;
  const { description, modality, labels } = source;
  const list: DecathlonList = {
    name,
    description,
    modality,
    labels,
    training: share.training,
    validation: share.heldOut,
    test: [],
  };
  for (const relative of filesOf(list)) {
    const target = path.join(folder, relative);
    await mkdir(path.dirname(target), { recursive: true });
    await rm(target, { force: true });
    await place(path.join(source.folder, relative), target, how);
  }
  return writeDecathlon(folder, list);
}

/** Hard links do not cross file systems, and some systems forbid them for files of others: then the bytes are copied. */
const NO_LINK = ['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'ENOSYS'];

async function place(from: string, to: string, how: 'link' | 'copy'): Promise<void> {
  try {
    if (how === 'link') {
      await link(from, to);
      return;
    }
  } catch (error) {
    if (!hasSystemCode(error, ...NO_LINK)) throw ClaraError.from(error, `cannot place ${to}`);
  }
  await copyFile(from, to, constants.COPYFILE_FICLONE);
}
