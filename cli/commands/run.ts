import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Command } from 'commander';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import type { LedgerEntry } from '../../federation/gen/federation/v1/federation_pb';
import { received } from '../../federation/stream-flow';
import { planToSubmit, uploadModel } from '../initial-model';
import { ledgerCsv, ledgerTable } from '../ledger-table';
import { matrixLines } from '../matrix-table';
import { asOperator, type OperatorOptions, withOperator } from '../operator';
import { changeLines, runTable } from '../run-table';
import { openTerminal, table } from '../terminal';
import { viewRecord, watchUntilEnd } from '../watch-run';
import { addCompareVerb } from './run-compare';
import { addPauseVerbs } from './run-pause';

interface Common extends OperatorOptions {
  readonly json?: boolean;
}

export function runCommand(): Command {
  const command = new Command('run').description('Federated runs: submit a plan, watch it, end it.');
  withOperator(command.command('submit <plan>'))
    .description(
      'Submits a plan (YAML or JSON), and first the file that it starts from, if it names one. Everything wrong with a plan is reported at once.',
    )
    .option('--wait', 'watch the run until it ends; exit 0 only when it completes')
    .option('--token <text>', 'submit token: repeating a submission with the same token answers the same run')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', '\nExample:\n  clara-fed run submit plan.yaml --wait --operator ./coordinator/operator')
    .action(submit);
  withOperator(command.command('list'))
    .description('Lists all runs.')
    .option('--json', 'one JSON object a run')
    .addHelpText('after', '\nExample:\n  clara-fed run list --operator ./coordinator/operator')
    .action(list);
  withOperator(command.command('show <run>'))
    .description('Shows a run: its sites, rounds and figures.')
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExample:\n  clara-fed run show spleen-1a2b3c4d --operator ./coordinator/operator')
    .action(show);
  withOperator(command.command('watch <run>'))
    .description('Watches a run until it ends; exit 0 only when it completes.')
    .option('--json', 'one JSON object a change')
    .addHelpText('after', '\nExample:\n  clara-fed run watch spleen-1a2b3c4d --operator ./coordinator/operator')
    .action(watch);
  withOperator(command.command('ledger <run>'))
    .description('What each round took: seconds, bytes and memory, from the journal.')
    .option('-o, --out <file>', 'write it as CSV')
    .option('--json', 'one JSON object a round')
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed run ledger spleen-1a2b3c4d -o ledger.csv --operator ./coordinator/operator',
    )
    .action(ledger);
  addPauseVerbs(command);
  addCompareVerb(command);
  withOperator(command.command('abort <run>'))
    .description('Ends a run for good; models that it has published stay.')
    .option('--reason <text>', 'why, for the record', 'aborted by an operator')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      "\nExample:\n  clara-fed run abort spleen-1a2b3c4d --reason 'wrong dataset' --operator ./coordinator/operator",
    )
    .action(abort);
  return command;
}

async function submit(
  file: string,
  options: Common & { readonly wait?: boolean; readonly token?: string },
): Promise<void> {
  const terminal = openTerminal(options);
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw ClaraError.from(error, `the plan ${file} cannot be read`);
  });
  const { plan, model } = await planToSubmit(text, path.dirname(path.resolve(file)));
  const run = await asOperator(options, async (client) => {
    if (model) {
      await uploadModel(client, model);
      terminal.record({ event: 'model-uploaded', sha256: model.sha256.toString('hex'), bytes: model.size });
    }
    const { run, alreadySubmitted } = await client.submitRun({ plan, submitToken: options.token ?? randomUUID() });
    terminal.record({ event: 'submitted', run, alreadySubmitted });
    terminal.line(options.wait ? `run ${run}` : run);
    return run;
  });
  if (options.wait) await watchUntilEnd(run, options, terminal);
}

async function list(options: Common): Promise<void> {
  const terminal = openTerminal(options);
  const { runs } = await asOperator(options, (client) => client.listRuns({}));
  for (const { $typeName: _, ...run } of runs) terminal.record({ event: 'run-summary', ...run });
  const rows = runs.map((r) => [
    r.run,
    r.state,
    `${r.round}/${r.rounds}`,
    r.submittedAt,
    r.reason || r.modelDigest.slice(0, 19),
  ]);
  terminal.line(table([['run', 'state', 'round', 'submitted', 'model or reason'], ...rows]));
}

async function show(run: string, options: Common): Promise<void> {
  const terminal = openTerminal(options);
  const view = await asOperator(options, (client) => client.showRun({ run }));
  terminal.record(viewRecord(view));
  terminal.line([runTable(view), ...changeLines(undefined, view), ...matrixLines(view)].join('\n'));
}

async function ledger(run: string, options: Common & { readonly out?: string }): Promise<void> {
  const terminal = openTerminal(options);
  const entries: LedgerEntry[] = [];
  await asOperator(options, async (client) => {
    for await (const entry of received(client.showLedger({ run }))) entries.push(entry);
  });
  for (const { $typeName: _, sites, ...entry } of entries) {
    terminal.record({ event: 'ledger', ...entry, sites: sites.map(({ $typeName: _, ...site }) => site) });
  }
  if (options.out) await writeFileDurably(options.out, ledgerCsv(entries));
  terminal.line(ledgerTable(entries));
}

async function watch(run: string, options: Common): Promise<void> {
  const terminal = openTerminal(options);
  await watchUntilEnd(run, options, terminal);
}

async function abort(run: string, options: Common & { readonly reason: string }): Promise<void> {
  const terminal = openTerminal(options);
  const view = await asOperator(options, (client) => client.abortRun({ run, reason: options.reason }));
  terminal.record(viewRecord(view));
  terminal.line(`run ${run} is ${view.summary?.state}`);
}
