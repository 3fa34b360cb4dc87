import path from 'node:path';
import { ClaraError, showFault } from '../base/errors';
import { faultsOf } from '../base/faults';
import { lstat, readFile } from '../base/files';
import { REPORT_FILE, type TrainerReport, trainerReportSchema } from '../federation/trainer-contract';

/** Names that the agent gives to files in a task folder, where the contract leaves them open. */
export const INPUT_FILE = 'global.safetensors';
/** The global model with this site's own statistics in it, where the plan keeps them here; and what a task made of them. */
export const OWN_INPUT_FILE = 'input.safetensors';
export const LOCAL_FILE = 'local.safetensors';
export const OUTPUT_FILE = 'update.safetensors';
/** SCAFFOLD: the control variate of all sites, and the one of this site that the trainer makes. */
export const CONTROLS_FILE = 'controls.safetensors';
export const CONTROLS_OUTPUT_FILE = 'controls-update.safetensors';
/** What leaves the site when it cannot be the trainer's own file. */
export const OUTBOUND_FILE = 'outbound.safetensors';
/** The update as the plan has it encoded, and what top-k leaves to later rounds. */
export const ENCODED_FILE = 'encoded.safetensors';
export const RESIDUAL_FILE = 'residual.safetensors';
export const MODELS_FOLDER = 'models';

export const evaluatedFile = (index: number): string =>
  `${MODELS_FOLDER}/${String(index).padStart(4, '0')}.safetensors`;

const MAX_REPORT_BYTES = 1 << 20;

/**
 * The report of a task folder.
 * @throws ClaraError `trainer-failed` when it is not a file, too large, not JSON, or breaks the contract, with every fault
 */
export async function readReport(folder: string): Promise<TrainerReport> {
  const document = await readDocument(path.join(folder, REPORT_FILE));
  const parsed = trainerReportSchema.safeParse(document);
  if (parsed.success) return parsed.data;
  const faults = faultsOf(parsed.error, document);
  const message = `the trainer's ${REPORT_FILE} breaks the contract: ${faults.map(showFault).join('; ')}`;
  throw new ClaraError('trainer-failed', message, { faults });
}

async function readDocument(file: string): Promise<unknown> {
  const found = await lstat(file).catch(() => undefined);
  // A link could name any file of this machine.
  if (!found?.isFile()) {
    throw new ClaraError('trainer-failed', `the trainer said that it was done but left no ${REPORT_FILE}`);
  }
  if (found.size > MAX_REPORT_BYTES) {
    throw new ClaraError(
      'trainer-failed',
      `the trainer's ${REPORT_FILE} has ${found.size} bytes; at most ${MAX_REPORT_BYTES} are read`,
    );
  }
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new ClaraError(
      'trainer-failed',
      `the trainer's ${REPORT_FILE} is not JSON: ${ClaraError.from(error).message}`,
    );
  }
}
