import path from 'node:path';

/** The reference trainer's program, to be started with a task folder as only argument (`ownProgram` of base). */
export const REFERENCE_TRAINER_MODULE = path.join(__dirname, 'main');
