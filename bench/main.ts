import { Command, Option } from 'commander';
import { ClaraError } from '../base/errors';
import { exitCodeOf } from '../base/exit-codes';
import { wholeNumber } from '../cli/whole-number';
import { type AnnotationRow, benchAnnotation } from './annotation/annotation-bench';
import { annotationTable } from './annotation/table';
import { benchAnnotationLoad } from './annotation-load-bench';
import type { BenchTrainer } from './bench-federation';
import { benchEncodings } from './encodings-bench';
import { benchFederation, type FederationCase } from './federation-bench';
import { benchLink } from './link-bench';
import { benchRecovery } from './recovery-bench';
import { benchSimulate } from './simulate-bench';
import { benchSoak } from './soak-bench';
import { comparisonTables } from './strategies/sentences';
import { benchStrategies, type StrategyRow } from './strategies-bench';

/** `npm run bench -- CASE`: prints one JSON object a case. Figures are for people to compare; no test depends on them. */
const program = new Command('bench').description('Benchmarks; each prints one JSON object.');

/** The options of every case that runs rounds. */
function roundsCommand(name: string, description: string, standard: { sites: string; mib: string; rounds: string }) {
  return program
    .command(name)
    .description(description)
    .option('--sites <n>', 'sites', standard.sites)
    .option('--mib <n>', 'size of the model in MiB', standard.mib)
    .option('--rounds <n>', 'rounds', standard.rounds)
    .option(
      '--workspace <dir>',
      'where coordinator and sites keep their files; on /dev/shm the disk does not count',
      '/dev/shm',
    )
    .addOption(
      new Option(
        '--trainer <kind>',
        'perturbing changes every weight; noop leaves nothing but the federation to measure',
      )
        .choices(['perturbing', 'noop'])
        .default('perturbing'),
    )
    .option('--strategy <name>', 'as a plan names it, with its defaults', 'fedavg')
    .option('--json', 'JSON is all that is ever printed');
}

interface RoundsOptions {
  readonly sites: string;
  readonly mib: string;
  readonly rounds: string;
  readonly workspace: string;
  readonly trainer: BenchTrainer;
  readonly strategy: string;
}

const caseOf = ({ sites, mib, rounds, workspace, trainer, strategy }: RoundsOptions): FederationCase => ({
  sites: wholeNumber('--sites', sites, 1, 500),
  mib: wholeNumber('--mib', mib, 1, 16_384),
  rounds: wholeNumber('--rounds', rounds, 1, 10_000),
  workspace,
  trainer,
  strategy,
});

roundsCommand('federation', 'Whole rounds with real agent processes.', {
  sites: '8',
  mib: '256',
  rounds: '3',
}).action(async (options) => print(await benchFederation(caseOf(options))));

roundsCommand('soak', "Many rounds: does the coordinator's memory grow?", {
  sites: '8',
  mib: '4',
  rounds: '500',
}).action(async (options) => print(await benchSoak(caseOf(options))));

roundsCommand('recovery', 'kill -9 of the coordinator in the middle of round 1.', {
  sites: '8',
  mib: '256',
  rounds: '1',
}).action(async (options) => print(await benchRecovery(caseOf(options))));

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

program
  .command('encodings')
  .description('Bytes and loss of each wire encoding, on a convex problem with a known solution.')
  .option('--elements <n>', 'numbers of the model', '65536')
  .option('--sites <n>', 'sites', '4')
  .option('--rounds <n>', 'rounds', '50')
  .option(
    '--rate <percent>',
    'learning rate of the sites, in percent of the largest that converges to its end at once',
    '50',
  )
  .option('--json', 'JSON is all that is ever printed')
  .action(async ({ elements, sites, rounds, rate }) => {
    const options = {
      elements: wholeNumber('--elements', elements, 1, 1 << 26),
      sites: wholeNumber('--sites', sites, 1, 500),
      rounds: wholeNumber('--rounds', rounds, 1, 10_000),
      rate: wholeNumber('--rate', rate, 1, 100) / 100,
    };
    for await (const result of benchEncodings(options)) print(result);
  });

program
  .command('simulate')
  .description('Rounds of many simulated sites in this process.')
  .option('--sites <n>', 'sites', '200')
  .option('--mib <n>', 'size of the model in MiB', '1')
  .option('--rounds <n>', 'rounds', '20')
  .option('--threads <n>', 'threads for the sites (default: one for each processor)')
  .option('--evaluate', 'every site judges the model after each round')
  .option('--workspace <dir>', 'where coordinator and sites keep their files', '/dev/shm')
  .option('--json', 'JSON is all that is ever printed')
  .action(async ({ sites, mib, rounds, threads, evaluate, workspace }) => {
    print(
      await benchSimulate({
        sites: wholeNumber('--sites', sites, 1, 1000),
        mib: wholeNumber('--mib', mib, 1, 256),
        rounds: wholeNumber('--rounds', rounds, 1, 10_000),
        evaluate: evaluate === true,
        ...(threads !== undefined && { threads: wholeNumber('--threads', threads, 1, 64) }),
        workspace,
      }),
    );
  });

program
  .command('annotation')
  .description(
    'Organs of a CT from extreme points and from clicks: Dice, seconds, and what other points, grids, noise and windows do.',
  )
  .option('--data <dir>', 'folder with ct.nii.gz and labels.nii.gz; phantoms where it is absent', '../shared/data/ct')
  .option('--organs <names>', 'only these, as "spleen,left kidney"')
  .option('--trials <n>', 'times that the points are moved by 1 to 3 voxels', '6')
  .option('--pictures <dir>', 'where a picture of each organ is written')
  .option('--json', 'one JSON object a line instead of a table')
  .action(async ({ data, organs, trials, pictures, json }) => {
    const rows: AnnotationRow[] = [];
    const wanted = { data, organs: organs?.split(','), trials: wholeNumber('--trials', trials, 1, 100), pictures };
    for await (const row of benchAnnotation(wanted)) {
      rows.push(row);
      if (json) print(row);
      else process.stderr.write('.');
    }
    if (!json) process.stdout.write(`\n${annotationTable(rows)}\n`);
  });

program
  .command('strategies')
  .description('Rounds that every strategy takes to a target, with sites alike and unlike, and with hostile ones.')
  .option('--seed <n>', 'of data and training', '1')
  .addOption(new Option('--problem <kind>', 'what is trained').choices(['softmax', 'phantoms', 'both']).default('both'))
  .addOption(new Option('--division <kind>', 'of the convex problem (default: both)').choices(['alike', 'unlike']))
  .option('--workspace <dir>', 'where coordinator and sites keep their files', '/dev/shm')
  .option('--json', 'one JSON object a line instead of tables')
  .action(async ({ seed, problem, division, workspace, json }) => {
    const rows: StrategyRow[] = [];
    const wanted = {
      workspace,
      seed: wholeNumber('--seed', seed, 0, 0xffffffff),
      softmax: problem !== 'phantoms',
      phantoms: problem !== 'softmax',
      division,
    };
    const done = await benchStrategies(wanted, (row) => {
      rows.push(row);
      if (json) print(row);
      else process.stderr.write('.');
    });
    if (json) print(done);
    else process.stdout.write(`\n${comparisonTables(rows)}\n\n${done.seconds} s, load before ${done.loadBefore}\n`);
  });

program
  .command('annotation-load')
  .description('Clients of an annotation server that ask one after the other, as fast as they are answered.')
  .option('--clients <n>', 'clients', '20')
  .option('--seconds <n>', 'for so long', '60')
  .option('--slots <n>', 'inference processes', '1')
  .option('--queue <n>', 'segmentations that may wait (default: as many as there are clients)')
  .option('--json', 'JSON is all that is ever printed')
  .action(async ({ clients, seconds, slots, queue }) => {
    print(
      await benchAnnotationLoad({
        clients: wholeNumber('--clients', clients, 1, 1000),
        seconds: wholeNumber('--seconds', seconds, 1, 86_400),
        slots: wholeNumber('--slots', slots, 1, 64),
        queue: wholeNumber('--queue', queue ?? clients, 0, 10_000),
      }),
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
