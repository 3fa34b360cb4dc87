import path from 'node:path';
import type { ProgramStart } from '../../../base/own-program';

/** A small trainer in plain JavaScript; see scripted-trainer.cjs for its modes. */
export function scriptedTrainer(mode: string): ProgramStart {
  return { command: process.execPath, args: [path.join(__dirname, 'scripted-trainer.cjs'), mode] };
}
