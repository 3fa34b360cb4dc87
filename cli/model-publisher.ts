import path from 'node:path';
import { ownProgram, type ProgramStart } from '../base/own-program';

/** `clara-fed aiaa publish` as a program; the agent appends what is published. */
export function modelPublisher(): ProgramStart {
  return ownProgram(path.join(__dirname, 'main'), 'aiaa', 'publish');
}
