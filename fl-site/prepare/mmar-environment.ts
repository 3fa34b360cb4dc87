import path from 'node:path';
import { z } from 'zod';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { exists } from '../../base/exists';
import { readFile, stat } from '../../base/files';
import { systemCode } from '../../base/system-codes';
import { MMAR_FILES } from './mmar-folder';

/** Names that say where things are get the site's paths; all others stay. */
const environmentSchema = z.record(z.string(), z.json());

export interface MmarPaths {
  readonly DATA_ROOT: string;
  readonly DATASET_JSON: string;
  readonly MMAR_CKPT_DIR?: string | undefined;
  readonly PROCESSING_TASK?: string | undefined;
}

/** What MMARs say that say nothing else: this platform's datasets are of this kind. */
const DEFAULT_TASK = 'segmentation';

/** @returns true when the file was changed. @throws ClaraError `not-found`, `corrupt` */
export async function editMmarEnvironment(mmar: string, paths: MmarPaths): Promise<boolean> {
  const file = path.join(mmar, MMAR_FILES.environment);
  let before: z.output<typeof environmentSchema>;
  try {
    before = environmentSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (cause) {
    if (systemCode(cause) !== undefined) throw ClaraError.from(cause, `${mmar} is no MMAR`);
    throw new ClaraError('corrupt', `${file} must be one JSON object of names; restore it from the MMAR`, { cause });
  }
  const told = Object.entries({
    ...paths,
    PROCESSING_TASK: paths.PROCESSING_TASK ?? before.PROCESSING_TASK ?? DEFAULT_TASK,
  }).filter(([, value]) => value !== undefined);
  if (told.every(([name, value]) => before[name] === value)) return false;
  const after = { ...before, ...Object.fromEntries(told) };
  await writeFileDurably(file, `${JSON.stringify(after, undefined, 2)}\n`, { mode: (await stat(file)).mode & 0o777 });
  return true;
}

/** Gives the MMAR the dataset's list of cases. @returns true when it was changed */
export async function writeMmarList(mmar: string, list: string): Promise<boolean> {
  const file = path.join(mmar, MMAR_FILES.dataset);
  const wanted = await readFile(list);
  if ((await exists(file)) && wanted.equals(await readFile(file))) return false;
  await writeFileDurably(file, wanted);
  return true;
}
