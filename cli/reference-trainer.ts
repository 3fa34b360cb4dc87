import { ownProgram, type ProgramStart } from '../base/own-program';
import { REFERENCE_TRAINER_MODULE } from '../training/trainer/reference-trainer';

/** The built-in trainer as a program; the agent appends the task folder. */
export function referenceTrainer(): ProgramStart {
  return ownProgram(REFERENCE_TRAINER_MODULE);
}
