import path from 'node:path';
import { Command, Option } from 'commander';
import { ClaraError } from '../../base/errors';
import { EXIT } from '../../base/exit-codes';
import type { StackResult } from '../../fleet/conduct';
import { type FleetRequest, runFleet } from '../../fleet/fleet';
import { ProjectFolder } from '../../fleet/project';
import { PulumiStacks } from '../../fleet/pulumi-stacks';
import { FLEET_VERBS, type FleetVerb } from '../../fleet/stacks-port';
import { fleetRecord, fleetTable, showChanges } from '../fleet-table';
import { stopSignal } from '../stopping';
import { counted, openTerminal } from '../terminal';
import { wholeNumber } from '../whole-number';

interface FleetOptions {
  readonly env: string;
  readonly sites?: string;
  readonly all?: boolean;
  readonly canary?: string;
  readonly parallel: string;
  readonly project: string;
  readonly policyPack?: string;
  readonly policyPackConfig?: string;
  readonly secretsProvider?: string;
  readonly restart?: boolean;
  readonly json?: boolean;
}

const DESCRIPTIONS: Readonly<Record<FleetVerb, string>> = {
  preview: 'Shows what a deployment would change, of every stack; changes nothing.',
  up: 'Deploys: the organisation, the coordinator, one site alone, then the other sites. Stops at a failure; the same call goes on.',
  refresh: 'Compares the state of the stacks with what there is in AWS, and adopts it.',
  destroy: 'Destroys the sites, then the coordinator; never the organisation, which the environments share.',
};

const OUTCOME_HELP = `
Ends with 0 when every stack is done, and with 75 when one failed: the same call goes on with the stacks that are not done, and
works again on those whose programs or configuration have changed meanwhile. Ctrl-C lets the engine finish what it is doing in
AWS and write its state (130); a second Ctrl-C does not wait.`;

export function fleetCommand(): Command {
  const command = new Command('fleet').description('All stacks of an environment, in order, through your Pulumi CLI.');
  for (const verb of FLEET_VERBS) {
    command
      .command(verb)
      .description(DESCRIPTIONS[verb])
      .requiredOption('--env <name>', 'the environment: dev or prod')
      .addOption(new Option('--sites <ids>', 'ids of sites, with commas').conflicts('all'))
      .option(
        '--all',
        "the whole environment: coordinator and all sites of its catalogue, and the organisation's stack",
      )
      .option('--canary <id>', 'the site that goes alone before the others (default: the first)')
      .option('--parallel <n>', 'the most stacks at the same time', '2')
      .option('--project <dir>', 'folder of Pulumi.yaml', '.')
      .option('--policy-pack <dir>', 'policy pack that previews and deployments must pass')
      .option(
        '--policy-pack-config <file>',
        'JSON configuration of the pack, such as a rule that is advisory in these stacks',
      )
      .option(
        '--secrets-provider <url>',
        "what encrypts the secrets of stacks that are made, such as awskms://alias/NAME?region=REGION (default: the backend's)",
      )
      .option('--restart', 'begin with the first stack, whatever an unfinished call has done')
      .option('--json', 'one JSON object a stack')
      .addHelpText(
        'after',
        `${OUTCOME_HELP}\n\nExample:\n  clara-fed fleet ${verb} --env prod --sites st-marys,charite`,
      )
      .action((options: FleetOptions) => fleet(verb, options));
  }
  return command;
}

async function fleet(verb: FleetVerb, options: FleetOptions): Promise<void> {
  const terminal = openTerminal(options);
  const project = ProjectFolder.open(path.resolve(options.project));
  const stacks = await PulumiStacks.open({
    project: project.folder,
    ...(options.policyPack === undefined ? {} : { policyPack: path.resolve(options.policyPack) }),
    ...(options.secretsProvider === undefined ? {} : { secretsProvider: options.secretsProvider }),
    ...(options.policyPackConfig === undefined ? {} : { policyPackConfig: path.resolve(options.policyPackConfig) }),
  });
  const signal = stopSignal();
  const results = await runFleet(requestOf(verb, options), {
    project,
    stacks,
    signal,
    onBegin: (stack) => {
      terminal.record({ event: 'begin', verb, stack });
      terminal.line(`${stack}: ${verb} begins`);
    },
    onEnd: (result) => {
      terminal.record(fleetRecord(result));
      if (result.state === 'done') terminal.line(`${result.stack}: ${showChanges(result.changes)}`);
    },
  });
  terminal.line(`\n${fleetTable(results)}`);
  report(verb, results, options.json === true, terminal.record);
}

/** The end of a call: its last record, its failures on standard error, its exit code. */
function report(
  verb: FleetVerb,
  results: readonly StackResult[],
  json: boolean,
  record: (record: Readonly<Record<string, unknown>>) => void,
): void {
  const left = results.filter(({ state }) => state === 'failed' || state === 'waiting' || state === 'interrupted');
  record({
    event: 'fleet',
    verb,
    complete: left.length === 0,
    stacks: results.length,
    left: left.map(({ stack }) => stack),
  });
  for (const result of results) {
    if (result.state === 'failed' && !json) process.stderr.write(`clara-fed: ${result.error.message}\n`);
  }
  if (results.some(({ state }) => state === 'interrupted')) process.exitCode = EXIT.interrupted;
  else if (left.length > 0) process.exitCode = EXIT.tryAgain;
  if (left.length > 0 && !json) {
    process.stderr.write(`clara-fed: ${counted(left.length, 'stack')} not done; the same call goes on with them\n`);
  }
}

function requestOf(verb: FleetVerb, options: FleetOptions): FleetRequest {
  const { env, canary, restart } = options;
  if (!options.all && options.sites === undefined) {
    throw new ClaraError('invalid-input', 'which stacks: give --sites with their ids, or --all');
  }
  const sites = options.all ? 'all' : options.sites!.split(',').map((id) => id.trim());
  return {
    verb,
    environment: env,
    sites,
    ...(canary === undefined ? {} : { canary }),
    parallel: wholeNumber('--parallel', options.parallel, 1, 32),
    ...(restart ? { restart } : {}),
  };
}
