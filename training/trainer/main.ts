import { ClaraError, type ErrorCode, showFault } from '../../base/errors';
import { EXIT } from '../../base/exit-codes';
import { type ProgressLine, TRAINER_EXIT } from '../../federation/trainer-contract';
import { doTask } from './do-task';

/**
 * The reference trainer: does the task in the folder that is its only argument, as protocol 1 says. Progress goes to
 * standard output, one JSON object a line; anything else that a person should read goes to standard error.
 */

/** Failures by what the agent should do about them; others mean that something broke. */
const EXIT_OF: Partial<Record<ErrorCode, number>> = {
  'invalid-input': TRAINER_EXIT.badInput,
  unsupported: TRAINER_EXIT.badInput,
  'not-found': TRAINER_EXIT.badInput,
  corrupt: TRAINER_EXIT.badInput,
  cancelled: TRAINER_EXIT.tryAgain,
  unavailable: TRAINER_EXIT.tryAgain,
  'out-of-space': TRAINER_EXIT.tryAgain,
  'resource-exhausted': TRAINER_EXIT.tryAgain,
};

async function run(args: readonly string[], signal: AbortSignal): Promise<void> {
  if (args.length !== 1) {
    throw new ClaraError('invalid-input', `${args.length} arguments were given: the task folder must be the only one`);
  }
  await doTask(args[0]!, { signal, onProgress: printProgress });
}

function printProgress(line: ProgressLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function explain(thrown: unknown, stopped: boolean): number {
  const error = stopped
    ? new ClaraError('cancelled', 'stopped when asked to; start again to go on')
    : ClaraError.from(thrown);
  const lines = error.faults.length > 1 ? error.faults.map(showFault) : [];
  const detail = error.code === 'internal' && thrown instanceof Error ? thrown.stack : undefined;
  process.stderr.write(`${[detail ?? error.message, ...lines].join('\n')}\n`);
  return EXIT_OF[error.code] ?? EXIT.internal;
}

const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
// Nobody listens any more: the agent is gone, and the next one will start this task again.
process.stdout.on('error', () => stop.abort());

run(process.argv.slice(2), stop.signal).catch((error: unknown) => {
  process.exitCode = explain(error, stop.signal.aborted);
});
