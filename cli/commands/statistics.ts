import { randomUUID } from 'node:crypto';
import { Command } from 'commander';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError, showValue } from '../../base/errors';
import { type MergedStatistics, mergedStatisticsSchema } from '../../federation/statistics';
import { received } from '../../federation/stream-flow';
import { asOperator, type OperationsClient, type OperatorOptions, withOperator } from '../operator';
import { statisticsPage } from '../report/statistics-page';
import { statisticsLines } from '../statistics-table';
import { openTerminal } from '../terminal';
import { watchUntilEnd } from '../watch-run';
import { wholeNumber } from '../whole-number';

interface StatisticsOptions extends OperatorOptions {
  readonly cohort: readonly string[];
  readonly trainer: string;
  readonly quorum: string;
  readonly deadline: string;
  readonly bins: string;
  readonly low: string;
  readonly high: string;
  readonly token?: string;
  readonly run?: string;
  readonly out?: string;
  readonly json?: boolean;
}

export function statisticsCommand(): Command {
  return withOperator(new Command('statistics'))
    .description(
      'What the sites hold, before a run: intensities, spacing, shape, volumes, as far as each site tells it.',
    )
    .option('--cohort <site...>', 'all, or the sites to ask', ['all'])
    .option('--trainer <name>', 'the trainer that the sites are configured with, which counts', 'reference')
    .option('--quorum <n>', 'how many sites must answer', '1')
    .option('--deadline <duration>', 'how long the sites may take', '1h')
    .option('--bins <n>', 'bins of each histogram', '64')
    .option('--low <hu>', 'where histograms of intensities begin', '-1024')
    .option('--high <hu>', 'where they end', '3072')
    .option('--token <text>', 'submit token: repeating it answers the same run, and costs no privacy again')
    .option('--run <run>', 'show what an earlier run of statistics found; nobody is asked again')
    .option('-o, --out <file>', 'write a report as one HTML page')
    .option('--json', 'one JSON object for all sites together, then one a site')
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed statistics --cohort all -o statistics.html --operator ./coordinator/operator',
    )
    .action(statistics);
}

async function statistics(options: StatisticsOptions): Promise<void> {
  const terminal = openTerminal(options);
  const plan = planOf(options);
  const { run, merged, bySite } = await asOperator(options, async (client) => {
    const run = options.run ?? (await submitted(client, plan, options.token ?? randomUUID()));
    // A table of progress is for people only; what is found is the one answer for programs.
    if (!options.run) await watchUntilEnd(client, run, { ...terminal, record: () => undefined });
    return { run, ...(await found(client, run)) };
  });
  terminal.record({ event: 'statistics', run, ...merged });
  for (const [site, own] of bySite) terminal.record({ event: 'site-statistics', run, site, ...own });
  for (const line of statisticsLines(merged)) terminal.line(line);
  if (options.out) {
    await writeFileDurably(options.out, statisticsPage({ run, merged, bySite }));
    terminal.line(`report  ${options.out}`);
  }
}

function planOf(options: StatisticsOptions): Readonly<Record<string, unknown>> {
  const { cohort, trainer, deadline } = options;
  const number = (name: string, text: string): number => {
    if (text.trim() !== '' && Number.isFinite(Number(text))) return Number(text);
    throw new ClaraError('invalid-input', `${name} ${showValue(text)} must be a number of Hounsfield units`);
  };
  return {
    name: 'statistics',
    trainer: { name: trainer },
    cohort: cohort.length === 1 && cohort[0] === 'all' ? 'all' : cohort,
    quorum: wholeNumber('--quorum', options.quorum, 1, 1000),
    rounds: 1,
    deadline,
    statistics: {
      bins: wholeNumber('--bins', options.bins, 2, 256),
      low: number('--low', options.low),
      high: number('--high', options.high),
    },
  };
}

async function submitted(client: OperationsClient, plan: object, submitToken: string): Promise<string> {
  return (await client.submitRun({ plan: JSON.stringify(plan), submitToken })).run;
}

async function found(
  client: OperationsClient,
  run: string,
): Promise<{ readonly merged: MergedStatistics; readonly bySite: ReadonlyMap<string, MergedStatistics> }> {
  let merged: MergedStatistics = { sites: [], variables: [] };
  const bySite = new Map<string, MergedStatistics>();
  for await (const { site, statisticsJson } of received(client.showStatistics({ run }))) {
    const parsed = mergedStatisticsSchema.parse(JSON.parse(statisticsJson));
    if (site === '') merged = parsed;
    else bySite.set(site, parsed);
  }
  return { merged, bySite };
}
