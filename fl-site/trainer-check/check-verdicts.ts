import { readFile } from '../../base/files';
import { TRAINER_EXIT } from '../../federation/trainer-contract';
import type { Start } from './check-bench';

/** What a start of a trainer means for a step of the check, and what to do about it. */

/** The step has failed; the message says what was seen. */
export class Failed extends Error {
  constructor(
    message: string,
    /** How to satisfy the contract. @default as the step says */
    readonly mend?: string,
  ) {
    super(message);
  }
}
/** The step cannot be judged; the message says why. */
export class Skipped extends Error {}

/** A trainer may decline a kind of task: exit code 64 and a sentence. */
export function declines({ end }: Start): boolean {
  return end.kind === 'exited' && end.code === TRAINER_EXIT.badInput && end.lastWords !== '';
}

export function requireDone(start: Start): void {
  if (start.end.kind === 'exited' && start.end.code === TRAINER_EXIT.done) return;
  throw failedEnd(start);
}

export function requireRefused(start: Start): void {
  const { end } = start;
  if (end.kind !== 'exited' || end.code !== TRAINER_EXIT.badInput) throw failedEnd(start);
  if (end.lastWords === '') throw new Failed('it ended with exit code 64 but said nothing on standard error');
}

function failedEnd(start: Start): Failed {
  return new Failed(`it ${describeEnd(start)}`, start.end.kind === 'not-started' ? MEND.start : undefined);
}

function describeEnd({ end, millis }: Start): string {
  switch (end.kind) {
    case 'exited':
      return `ended with exit code ${end.code}${end.lastWords && `: ${end.lastWords}`}`;
    case 'killed':
      return `was ended by ${end.signal}${end.lastWords && `: ${end.lastWords}`}`;
    case 'not-started':
      return `could not be started: ${end.reason}`;
    default:
      return `did not end by itself within ${Math.round(millis)} ms`;
  }
}

export function wordsOf({ end }: Start): string {
  return 'lastWords' in end ? end.lastWords : '';
}

export async function requireSameBytes(
  expected: string,
  actual: string,
  otherwise = 'the bytes differ',
): Promise<void> {
  if (!(await readFile(expected)).equals(await readFile(actual))) throw new Failed(otherwise);
}

/** How to satisfy the contract. */
export const MEND = {
  start:
    'name a program that is on this machine and may be executed, by its whole path or as one of the PATH (trainer.command of the site configuration)',
  output:
    'write update.safetensors and then report.json, each under another name first and renamed into place, and exit with 0',
  repeat: 'draw every random number from the seed of task.json, and fix the order of all sums and files',
  progress:
    'print lines such as {"progress": 0.5, "step": 12, "metrics": {"loss": 0.3}} with progress from 0 to 1, never falling',
  inputs: 'open inputs for reading only',
  state: 'take what state/ holds from earlier rounds, and ignore a checkpoint whose task is not the one of task.json',
  sigterm:
    'handle SIGTERM: save to state/ and exit with 75; when started again on the folder, go on from there to the same result',
  sigkill:
    'write checkpoints to state/ now and then, each renamed into place, with the task they belong to, and go on from the newest',
  evaluate:
    'write one entry {"model": NAME, "metrics": {...}} in "evaluations" of report.json for each model of task.json',
  refuse:
    'check task.json and the model before any work; exit with 64 and one sentence on standard error when they are wrong',
  outside: 'write to the task folder only; caches belong into state/, temporary files into $TMPDIR',
  fedprox: 'add mu (w - w0) to every gradient, where w0 are the weights of the input model',
  scaffold:
    'add c - c_i to every gradient, c from rule.controls.input and c_i from state/; write the mean of the gradients of the task to rule.controls.output',
  fednova: 'count the optimiser steps of the task in "steps" of report.json',
  frozen: 'leave tensors alone whose name matches a pattern of "frozen" in task.json, and train the others',
  reinitialise:
    'take every tensor of model.input over, byte for byte, but make those anew whose name matches a pattern of "reinitialise", from the seed',
  rule: 'exit with 64 and one sentence when task.json names a rule that the trainer does not know',
} as const;
