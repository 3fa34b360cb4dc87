import { Command, Option } from 'commander';
import { startCoordinator } from '../../fl-coordinator/coordinator';
import { parseAddress } from '../address';
import { metricsAddress, metricsOption } from '../metrics-option';
import { aborted, stopSignal } from '../stopping';
import { openTerminal } from '../terminal';
import { VERSION } from '../version';

interface StartOptions {
  readonly workspace: string;
  readonly federation: string;
  readonly listen: string;
  readonly enrolment: string;
  readonly hostName: readonly string[];
  readonly metrics?: string | true;
  readonly json?: boolean;
  readonly parentPipe?: boolean;
}

export function coordinatorCommand(): Command {
  const command = new Command('coordinator').description('The service that runs federated rounds.');
  command
    .command('start')
    .description('Starts the coordinator; makes its certificate authority and the first operator at the first start.')
    .requiredOption('--workspace <dir>', 'where runs, models and the certificate authority are kept')
    .option('--federation <name>', 'name of the federation', 'clara')
    .option('--listen <host:port>', 'where sites and operators connect (port 0: any free one)', '0.0.0.0:8443')
    .option('--enrolment <host:port>', 'where invited sites enrol', '0.0.0.0:8444')
    .option('--host-name <name...>', 'names by which others reach this machine; the first is told to sites', [
      'localhost',
      '127.0.0.1',
    ])
    .addOption(metricsOption())
    .option('--json', 'one JSON object a line')
    .addOption(new Option('--parent-pipe').hideHelp())
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed coordinator start --workspace ./coordinator --host-name fl.example.org',
    )
    .action(start);
  return command;
}

async function start(options: StartOptions): Promise<void> {
  const terminal = openTerminal(options);
  const signal = stopSignal(options);
  const coordinator = await startCoordinator({
    workspace: options.workspace,
    federation: options.federation,
    listen: parseAddress(options.listen),
    enrolmentListen: parseAddress(options.enrolment),
    hostNames: options.hostName,
    software: `clara-fed ${VERSION}`,
    metrics: metricsAddress(options.metrics),
    onEvent: ({ event, ...facts }) => {
      terminal.record({ event, ...facts });
      terminal.line(`${event}  ${Object.values(facts).join('  ')}`);
    },
  });
  const { address, enrolmentAddress, operatorFolder, metricsAddress: metrics } = coordinator;
  terminal.record({ event: 'ready', address, enrolment: enrolmentAddress, operator: operatorFolder, metrics });
  terminal.line(
    `coordinator of federation ${options.federation} serves on ${address}; sites enrol on ${enrolmentAddress}`,
  );
  terminal.line(`operator's credentials: ${operatorFolder}`);
  if (metrics) terminal.line(`figures for Prometheus: http://${metrics}/metrics`);
  try {
    await Promise.race([coordinator.closed, aborted(signal)]);
  } finally {
    await coordinator.close();
  }
}
