import { Command } from 'commander';
import { fetchModel } from '../fetch-model';
import { asOperator, type OperatorOptions, withOperator } from '../operator';
import { openTerminal, showBytes } from '../terminal';
import { wholeNumber } from '../whole-number';

interface FetchOptions extends OperatorOptions {
  readonly out: string;
  readonly round?: string;
  readonly best?: true;
  readonly json?: boolean;
}

export function modelCommand(): Command {
  const command = new Command('model').description('Global models of runs.');
  withOperator(command.command('fetch <run>'))
    .description('Fetches the newest global model of a run, verified by its digest.')
    .requiredOption('-o, --out <file>', 'where the model goes (safetensors)')
    .option('--round <n>', 'the model of that round instead')
    .option('--best', "the best model instead, by the metric of the plan's early stop")
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed model fetch spleen-1a2b3c4d -o model.safetensors --operator ./coordinator/operator',
    )
    .action(fetch);
  return command;
}

async function fetch(run: string, options: FetchOptions): Promise<void> {
  const terminal = openTerminal(options);
  const round = options.round === undefined ? undefined : wholeNumber('--round', options.round, 0, 10_000);
  const { digest, bytes } = await asOperator(options, (client) =>
    fetchModel(client, { run, round, best: options.best, file: options.out }),
  );
  terminal.record({ event: 'fetched', run, file: options.out, digest, bytes });
  terminal.line(`${options.out}  ${showBytes(bytes)}  ${digest}`);
}
