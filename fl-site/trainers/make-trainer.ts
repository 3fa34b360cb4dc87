import { ClaraError } from '../../base/errors';
import type { ProgramStart } from '../../base/own-program';
import type { Pacing } from '../backoff';
import type { SiteConfiguration } from '../configuration';
import { ecsSettings } from '../trainer-configuration';
import { awsCluster } from './ecs/ecs-cluster';
import { EcsTrainer } from './ecs/ecs-trainer';
import { MmarInContainer, mmarProgram } from './mmar/mmar-trainer';
import { ProcessTrainer } from './process-trainer';
import type { Trainer } from './trainer';

export interface TrainerSurroundings {
  /** The program behind `adapter: reference`; this room knows no training. */
  readonly reference?: ProgramStart | undefined;
  /** From SIGTERM to SIGKILL of a process. @default 30 000 */
  readonly graceMillis?: number | undefined;
  readonly pacing: Pacing;
}

/** The trainer that a site's configuration names. @throws ClaraError `unsupported` when it is the built-in one and not given */
export function makeTrainer(site: SiteConfiguration, { reference, graceMillis, pacing }: TrainerSurroundings): Trainer {
  const { id, trainer, workspace } = site;
  const ecs = ecsSettings(trainer);
  if (ecs !== undefined) {
    const at = { site: id, workspace, cluster: awsCluster(ecs, id, pacing), pacing };
    if (trainer.adapter === 'ecs-task') return new EcsTrainer({ ...at, trainer });
    if (trainer.adapter === 'mmar') return new MmarInContainer({ ...at, trainer: { ...trainer, ecs } });
  }
  const program = trainerProgram(site, reference);
  return new ProcessTrainer({ ...trainer, program, graceMillis, pacing });
}

/**
 * The program that a site's configuration names, without the task folder.
 * @throws ClaraError `unsupported` when it does not run here
 */
export function trainerProgram({ id, trainer }: SiteConfiguration, reference: ProgramStart | undefined): ProgramStart {
  if (trainer.adapter === 'process') return { command: trainer.command[0]!, args: trainer.command.slice(1) };
  if (trainer.adapter === 'reference' && reference) return reference;
  if (trainer.adapter === 'mmar' && !trainer.ecs) return mmarProgram(trainer.mmar);
  const why =
    trainer.adapter === 'reference'
      ? 'the reference trainer, which this program does not bring; use adapter: process'
      : 'a trainer that runs as an ECS task, not on this machine';
  throw new ClaraError('unsupported', `${id} is configured for ${why}`);
}
