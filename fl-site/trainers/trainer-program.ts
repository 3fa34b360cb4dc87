import { ClaraError } from '../../base/errors';
import type { ProgramStart } from '../../base/own-program';
import type { SiteConfiguration } from '../configuration';

/**
 * The program that a site's configuration names, without the task folder.
 * @param reference the program behind `adapter: reference`; this room knows no training
 * @throws ClaraError `unsupported` when that is asked for and not given
 */
export function trainerProgram({ id, trainer }: SiteConfiguration, reference: ProgramStart | undefined): ProgramStart {
  if (trainer.adapter === 'process') return { command: trainer.command[0]!, args: trainer.command.slice(1) };
  if (reference) return reference;
  throw new ClaraError(
    'unsupported',
    `${id} is configured for the reference trainer, which this program does not bring; use adapter: process`,
  );
}
