import { Command, Option } from 'commander';
import { ClaraError } from '../base/errors';
import { exitCodeOf } from '../base/exit-codes';
import { wholeNumber } from '../cli/whole-number';
import { benchFederation } from './federation-bench';
import { benchLink } from './link-bench';

/** `npm run bench -- CASE`: prints one JSON object a case. Figures are for people to compare; no test depends on them. */
const program = new Command('bench').description('Benchmarks; each prints one JSON object.');

program
  .command('federation')
  .description('Whole rounds: real agent processes with a trainer that changes every weight.')
  .option('--sites <n>', 'sites', '8')
  .option('--mib <n>', 'size of the model in MiB', '256')
  .option('--rounds <n>', 'rounds', '3')
  .option(
    '--workspace <dir>',
    'where coordinator and sites keep their files; on /dev/shm the disk does not count',
    '/dev/shm',
  )
  .addOption(
    new Option('--trainer <kind>', 'noop leaves nothing but the federation to measure')
      .choices(['perturbing', 'noop'])
      .default('perturbing'),
  )
  .option('--json', 'JSON is all that is ever printed')
  .action(async ({ sites, mib, rounds, workspace, trainer }) => {
    print(
      await benchFederation({
        sites: wholeNumber('--sites', sites, 1, 500),
        mib: wholeNumber('--mib', mib, 1, 16_384),
        rounds: wholeNumber('--rounds', rounds, 1, 1000),
        workspace,
        trainer,
      }),
    );
  });

program
  .command('link')
  .description('One connection through a proxy that delays each way by half the round trip time.')
  .option('--rtt <ms>', 'round trip time', '40')
  .option('--mib <n>', 'MiB to move each way', '256')
  .option('--json', 'JSON is all that is ever printed')
  .action(async ({ rtt, mib }) => {
    print(
      await benchLink({ rttMillis: wholeNumber('--rtt', rtt, 0, 10_000), mib: wholeNumber('--mib', mib, 1, 16_384) }),
    );
  });

function print(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

program.parseAsync(process.argv).catch((thrown: unknown) => {
  const error = ClaraError.from(thrown);
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = exitCodeOf(error.code);
});
