import path from 'node:path';
import { ClaraError, type Fault } from '../../base/errors';
import { readFile, stat } from '../../base/files';

/**
 * The folder of an NVIDIA Clara Train 4 MMAR (Medical Model ARchive): `config/`, `commands/`, `models/` and what belongs to
 * them. `environment.json` names places; all other configurations use them as `{NAME}`.
 */
export const MMAR_FILES = {
  environment: 'config/environment.json',
  training: 'config/config_train.json',
  annotation: 'config/config_aiaa.json',
  /** The list of cases, in the form of Decathlon, under the name that Clara's MMARs have for it. */
  dataset: 'config/dataset_0.json',
  train: 'commands/train.sh',
} as const;

/** Configurations are pages of text. */
const MAX_CONFIG_BYTES = 4 * 2 ** 20;
/** Without these in its training configuration an MMAR trains on what it brings, whatever it is told. */
const NAMES_OF_DATA = ['DATA_ROOT', 'DATASET_JSON'];

/**
 * Is this an MMAR that can be trained on a site's data?
 * @throws ClaraError `invalid-input` with everything that is missing or wrong
 */
export async function checkMmar(folder: string): Promise<void> {
  const faults: Fault[] = [];
  const environment = await textOf(folder, MMAR_FILES.environment, faults);
  if (environment !== undefined) objectIn(environment, MMAR_FILES.environment, faults);
  const training = await textOf(folder, MMAR_FILES.training, faults);
  if (training !== undefined && objectIn(training, MMAR_FILES.training, faults)) {
    for (const name of NAMES_OF_DATA) {
      if (training.includes(`{${name}}`)) continue;
      faults.push({ path: MMAR_FILES.training, rule: `must take its data from "{${name}}" of environment.json` });
    }
  }
  await textOf(folder, MMAR_FILES.train, faults);
  if (faults.length > 0) throw ClaraError.ofFaults(`The MMAR ${folder}`, faults);
}

async function textOf(folder: string, name: string, faults: Fault[]): Promise<string | undefined> {
  const file = path.join(folder, name);
  const found = await stat(file).catch(() => undefined);
  if (found?.isFile() !== true) {
    faults.push({ path: name, rule: 'must be there: an MMAR of Clara Train 4 has it' });
    return undefined;
  }
  if (found.size > MAX_CONFIG_BYTES) {
    faults.push({ path: name, value: `${found.size} bytes`, rule: `must be at most ${MAX_CONFIG_BYTES} bytes` });
    return undefined;
  }
  return readFile(file, 'utf8');
}

function objectIn(text: string, name: string, faults: Fault[]): boolean {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return true;
    faults.push({ path: name, rule: 'must be one JSON object' });
  } catch (error) {
    faults.push({ path: name, rule: `must be JSON (${(error as Error).message})` });
  }
  return false;
}
