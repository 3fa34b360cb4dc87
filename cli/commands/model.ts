import { Command } from 'commander';
import { showBytes } from '../../base/show-bytes';
import { MODEL_STAGES, showVersion } from '../../federation/model-name';
import { fetchModel } from '../fetch-model';
import { parseModelAddress, parseModelVersion } from '../model-address';
import { modelLines, modelRecord, versionRecord, versionTable } from '../model-table';
import { asOperator, type OperatorOptions, withOperator } from '../operator';
import { openTerminal } from '../terminal';
import { wholeNumber } from '../whole-number';

interface Common extends OperatorOptions {
  readonly json?: boolean;
}

interface FetchOptions extends Common {
  readonly out: string;
  readonly round?: string;
  readonly best?: true;
}

interface RegisterOptions extends Common {
  readonly name: string;
  readonly round?: string;
  readonly description: string;
  readonly licence: string;
}

const MAX_ROUND = 10_000;

export function modelCommand(): Command {
  const command = new Command('model').description('Global models of runs, the registry, and what sites serve.');
  withOperator(command.command('fetch <model>'))
    .description('Fetches the newest global model of a run, or a registered NAME:VERSION, verified by its digest.')
    .requiredOption('-o, --out <file>', 'where the model goes (safetensors)')
    .option('--round <n>', 'of a run: the model of that round instead')
    .option('--best', "of a run: the best model instead, by the metric of the plan's early stop")
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed model fetch spleen-1a2b3c4d -o model.safetensors --operator ./coordinator/operator\n  clara-fed model fetch spleen:3 -o model.safetensors --operator ./coordinator/operator',
    )
    .action(fetch);
  withOperator(command.command('register <run>'))
    .description('Gives a global model of a run a name and a version that never changes, with where it comes from.')
    .requiredOption('--name <name>', 'its name in the registry; versions of a name count from 1')
    .option('--round <n>', 'the model of that round instead of the newest')
    .option('--description <text>', 'what it does; annotation servers show it', '')
    .option('--licence <text>', 'under which it may be used', '')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed model register spleen-1a2b3c4d --name spleen --operator ./coordinator/operator',
    )
    .action(register);
  withOperator(command.command('list'))
    .description('Lists all registered versions.')
    .option('--json', 'one JSON object a version')
    .addHelpText('after', '\nExample:\n  clara-fed model list --operator ./coordinator/operator')
    .action(list);
  withOperator(command.command('show <model>'))
    .description('Shows a version (NAME: the newest), what it was trained from back to the root, and who serves it.')
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExample:\n  clara-fed model show spleen:3 --operator ./coordinator/operator')
    .action(show);
  withOperator(command.command('stage <version> <stage>'))
    .description(`Says what a version is for: ${MODEL_STAGES.join(', ')}. A retired one is not promoted.`)
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExample:\n  clara-fed model stage spleen:3 released --operator ./coordinator/operator')
    .action(setStage);
  withOperator(command.command('promote <version>'))
    .description("Offers a version to the sites' annotation servers; a site that is away gets it when it connects.")
    .option('--sites <a,b>', 'to these sites only (default: every enrolled site)')
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExample:\n  clara-fed model promote spleen:3 --operator ./coordinator/operator')
    .action(promote);
  withOperator(command.command('rollback <name>'))
    .description('Promotes the version before to the sites that were promoted last. Repeating it changes nothing.')
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExample:\n  clara-fed model rollback spleen --operator ./coordinator/operator')
    .action(rollback);
  return command;
}

async function fetch(from: string, options: FetchOptions): Promise<void> {
  const terminal = openTerminal(options);
  const registered = from.includes(':') ? parseModelVersion(from) : undefined;
  const wanted = registered ?? { run: from, round: roundOf(options), best: options.best };
  const { digest, bytes } = await asOperator(options, (client) => fetchModel(client, { ...wanted, file: options.out }));
  terminal.record({ event: 'fetched', ...wanted, file: options.out, digest, bytes });
  terminal.line(`${options.out}  ${showBytes(bytes)}  ${digest}`);
}

function roundOf({ round }: { readonly round?: string }): number | undefined {
  return round === undefined ? undefined : wholeNumber('--round', round, 0, MAX_ROUND);
}

async function register(run: string, options: RegisterOptions): Promise<void> {
  const terminal = openTerminal(options);
  const { name: model, description, licence } = options;
  const version = await asOperator(options, (client) =>
    client.registerModel({ run, round: roundOf(options), model, description, licence }),
  );
  terminal.record({ event: 'model-registered', ...versionRecord(version) });
  terminal.line(`${showVersion(version)}  ${showBytes(Number(version.bytes))}  ${version.digest}`);
}

async function list(options: Common): Promise<void> {
  const terminal = openTerminal(options);
  const { versions } = await asOperator(options, (client) => client.listModels({}));
  for (const version of versions) terminal.record({ event: 'model-version', ...versionRecord(version) });
  terminal.line(versionTable(versions));
}

async function show(address: string, options: Common): Promise<void> {
  const terminal = openTerminal(options);
  const view = await asOperator(options, (client) => client.showModel(parseModelAddress(address)));
  terminal.record({ event: 'model', ...modelRecord(view) });
  terminal.line(modelLines(view).join('\n'));
}

async function setStage(address: string, stage: string, options: Common): Promise<void> {
  const terminal = openTerminal(options);
  const wanted = { ...parseModelVersion(address), stage };
  const version = await asOperator(options, (client) => client.setModelStage(wanted));
  terminal.record({ event: 'model-version', ...versionRecord(version) });
  terminal.line(`${showVersion(version)} is ${version.stage}`);
}

async function promote(address: string, options: Common & { readonly sites?: string }): Promise<void> {
  const terminal = openTerminal(options);
  const sites = options.sites?.split(',').map((site) => site.trim()) ?? [];
  const wanted = { ...parseModelVersion(address), sites };
  const view = await asOperator(options, (client) => client.promoteModel(wanted));
  terminal.record({ event: 'model', ...modelRecord(view) });
  terminal.line(modelLines(view).join('\n'));
}

async function rollback(model: string, options: Common): Promise<void> {
  const terminal = openTerminal(options);
  const view = await asOperator(options, (client) => client.rollbackModel({ model }));
  terminal.record({ event: 'model', ...modelRecord(view) });
  terminal.line(modelLines(view).join('\n'));
}
