import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { toJson } from '@bufbuild/protobuf';
import { Command } from 'commander';
import { ClaraError, hasCode } from '../../base/errors';
import { LIVENESS_MILLIS } from '../../federation/channel';
import { type RunView, RunViewSchema } from '../../federation/gen/federation/v1/federation_pb';
import { received } from '../../federation/stream-flow';
import { LiveArea } from '../live-area';
import { asOperator, type OperationsClient, type OperatorOptions, withOperator } from '../operator';
import { changeLines, runTable } from '../run-table';
import { aborted, stopSignal } from '../stopping';
import { openTerminal, type Terminal, table } from '../terminal';

interface Common extends OperatorOptions {
  readonly json?: boolean;
}

export function runCommand(): Command {
  const command = new Command('run').description('Federated runs: submit a plan, watch it, end it.');
  withOperator(command.command('submit <plan>'))
    .description('Submits a plan (YAML or JSON). Everything wrong with it is reported at once.')
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
  const plan = await readFile(file, 'utf8').catch((error: unknown) => {
    throw ClaraError.from(error, `the plan ${file} cannot be read`);
  });
  const run = await asOperator(options, async (client) => {
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
  for (const { $typeName: _, ...run } of runs) terminal.record({ event: 'run', ...run });
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
  terminal.line([runTable(view), ...changeLines(undefined, view)].join('\n'));
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

/** How long a coordinator that was heard before is waited for; another one leads sooner than that. */
const PATIENCE_MILLIS = 2 * LIVENESS_MILLIS;
const PAUSE_MILLIS = 250;

/**
 * Watches through restarts of the coordinator and changes of leaders.
 * @throws ClaraError when the run ends otherwise than completed, or the person stops watching
 */
async function watchUntilEnd(run: string, operator: OperatorOptions, terminal: Terminal): Promise<RunView> {
  const signal = stopSignal();
  const area = terminal.live ? new LiveArea(process.stdout) : undefined;
  let last: RunView | undefined;
  let failingSince: number | undefined;
  const stopped = aborted(signal).then(() => {
    throw new ClaraError('cancelled', `stopped watching; run ${run} goes on`);
  });
  const watching = async (client: OperationsClient) => {
    for await (const view of received(client.watchRun({ run }, { signal }))) {
      const lines = changeLines(last, view);
      terminal.record(viewRecord(view));
      for (const line of lines) area ? area.print(line) : terminal.line(line);
      area?.draw(runTable(view));
      last = view;
      failingSince = undefined;
    }
  };
  for (;;) {
    try {
      await Promise.race([asOperator(operator, watching), stopped]);
      break;
    } catch (error) {
      const passing = hasCode(error, 'unavailable') && last !== undefined;
      failingSince ??= performance.now();
      if (!passing || performance.now() - failingSince > PATIENCE_MILLIS) throw error;
      await Promise.race([delay(PAUSE_MILLIS), stopped]);
    }
  }
  if (last?.summary?.state !== 'completed') {
    const { state = 'lost', reason = 'the coordinator ended the stream' } = last?.summary ?? {};
    throw new ClaraError('precondition-failed', `run ${run} is ${state}: ${reason}`);
  }
  return last;
}

function viewRecord(view: RunView): Record<string, unknown> {
  return { event: 'run', ...(toJson(RunViewSchema, view, { alwaysEmitImplicit: true }) as Record<string, unknown>) };
}
