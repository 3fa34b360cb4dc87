import { CommanderError } from 'commander';
import { EXIT } from '../base/exit-codes';
import { program } from './program';
import { reportFailure } from './terminal';

async function main(): Promise<number> {
  const json = process.argv.includes('--json');
  try {
    await program().parseAsync(process.argv);
    return Number(process.exitCode ?? EXIT.ok);
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.badInput;
    return reportFailure(thrown, json);
  }
}

void main().then((code) => {
  process.exitCode = code;
});
