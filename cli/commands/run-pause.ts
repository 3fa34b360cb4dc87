import type { Command } from 'commander';
import { ClaraError } from '../../base/errors';
import { durationSchema } from '../../federation/duration';
import { asOperator, type OperatorOptions, withOperator } from '../operator';
import { openTerminal } from '../terminal';
import { viewRecord } from '../watch-run';

interface ResumeOptions extends OperatorOptions {
  readonly json?: boolean;
}

interface PauseOptions extends ResumeOptions {
  readonly reason: string;
  readonly for: string;
}

/** `run pause` and `run resume`. */
export function addPauseVerbs(command: Command): void {
  withOperator(command.command('pause <run>'))
    .description('Opens no further stage of a run until it is resumed; what sites are at is finished and accepted.')
    .option('--reason <text>', 'why, for the record', 'paused by an operator')
    .option('--for <duration>', 'a run that nobody resumes for so long fails; at most 30d', '30d')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      "\nExample:\n  clara-fed run pause spleen-1a2b3c4d --reason 'new scanner' --operator ./coordinator/operator",
    )
    .action(pause);
  withOperator(command.command('resume <run>'))
    .description('Lets a paused run go on; its deadlines are put off by the length of the pause.')
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExample:\n  clara-fed run resume spleen-1a2b3c4d --operator ./coordinator/operator')
    .action(resume);
}

async function pause(run: string, options: PauseOptions): Promise<void> {
  const terminal = openTerminal(options);
  const duration = durationSchema.safeParse(options.for);
  if (!duration.success) {
    throw new ClaraError('invalid-input', `--for (${options.for}) ${duration.error.issues[0]!.message}`);
  }
  const request = { run, reason: options.reason, millis: BigInt(duration.data) };
  const view = await asOperator(options, (client) => client.pauseRun(request));
  terminal.record(viewRecord(view));
  terminal.line(`run ${run} is paused; it fails at ${view.pause?.until} unless it is resumed`);
}

async function resume(run: string, options: ResumeOptions): Promise<void> {
  const terminal = openTerminal(options);
  const view = await asOperator(options, (client) => client.resumeRun({ run }));
  terminal.record(viewRecord(view));
  terminal.line(`run ${run} is ${view.summary?.state}`);
}
