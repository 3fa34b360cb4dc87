import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';

/**
 * `config/environment.json` of an NVIDIA Clara Train 4 MMAR: names that its other configurations use as `{NAME}`. Those that
 * say where the data are get the site's paths; all others stay.
 */
const environmentSchema = z.record(z.string(), z.json());

export interface MmarPaths {
  readonly DATA_ROOT: string;
  readonly DATASET_JSON: string;
  readonly MMAR_CKPT_DIR?: string | undefined;
}

/** @returns true when the file was changed. @throws ClaraError `not-found` for a folder that holds no MMAR */
export async function editMmarEnvironment(mmar: string, paths: MmarPaths): Promise<boolean> {
  const file = path.join(mmar, 'config', 'environment.json');
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw ClaraError.from(error, `${mmar} is no MMAR`);
  }
  let before: z.output<typeof environmentSchema>;
  try {
    before = environmentSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new ClaraError('corrupt', `${file} must be one JSON object of names; restore it from the MMAR`, { cause });
  }
  const told = Object.entries(paths).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const after = { ...before, ...Object.fromEntries(told) };
  const wanted = `${JSON.stringify(after, undefined, 2)}\n`;
  if (told.every(([name, value]) => before[name] === value)) return false;
  await writeFileDurably(file, wanted, { mode: (await stat(file)).mode & 0o777 });
  return true;
}
