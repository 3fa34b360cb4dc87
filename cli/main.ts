import { CommanderError } from 'commander';
import { EXIT } from '../base/exit-codes';
import { hasSystemCode } from '../base/system-codes';
import { program } from './program';
import { reportFailure } from './terminal';

/** Whoever read our output has gone, `| head` for example: no reason for a service to die. */
function ignoreLostReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: Error) => {
      if (!hasSystemCode(error, 'EPIPE')) throw error;
    });
  }
}

async function main(): Promise<number> {
  ignoreLostReaders();
  const json = process.argv.includes('--json');
  try {
    await program(process.argv[2]).parseAsync(process.argv);
    return Number(process.exitCode ?? EXIT.ok);
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.badInput;
    return reportFailure(thrown, json);
  }
}

void main().then((code) => {
  process.exitCode = code;
});
