import { existsSync } from 'node:fs';
import { Command, Option } from 'commander';
import { ClaraError } from '../../base/errors';
import { startCoordinator } from '../../fl-coordinator/coordinator';
import { KEEP_UPDATES, type KeepUpdates } from '../../fl-coordinator/upkeep/retention';
import { parseAddress } from '../address';
import { awsSecret } from '../aws-secret';
import { lookAtOnceWhenLocal } from '../file-waiting';
import { metricsAddress, metricsOption } from '../metrics-option';
import { aborted, stopSignal } from '../stopping';
import { type StoreOptions, storeAddressOf, withStoreOptions } from '../store-options';
import { openTerminal } from '../terminal';
import { VERSION } from '../version';

interface StartOptions extends StoreOptions {
  readonly workspace: string;
  readonly trust?: string;
  readonly authoritySecret?: string;
  readonly operatorSecret?: string;
  readonly advertise?: readonly string[];
  readonly federation: string;
  readonly listen: string;
  readonly enrolment: string;
  readonly hostName: readonly string[];
  readonly keepUpdates: KeepUpdates;
  readonly metrics?: string | true;
  readonly json?: boolean;
  readonly parentPipe?: boolean;
}

export function coordinatorCommand(): Command {
  const command = new Command('coordinator').description('The service that runs federated rounds.');
  const starting = command
    .command('start')
    .description(
      'Starts the coordinator; makes its certificate authority and the first operator at the first start. A second one on the same store stands by.',
    )
    .requiredOption('--workspace <dir>', 'what is of this coordinator alone, and what has no folder of its own')
    .option('--trust <dir>', 'certificate authority, the same for all coordinators (default: WORKSPACE/trust)')
    .addOption(
      new Option(
        '--authority-secret <arn>',
        'the same in a secret of AWS Secrets Manager; without a value it gets one',
      ).conflicts('trust'),
    )
    .option(
      '--operator-secret <arn>',
      "secret of AWS Secrets Manager for the first operator's credentials (default: WORKSPACE/operator)",
    )
    .option('--federation <name>', 'name of the federation', 'clara')
    .option('--listen <host:port>', 'where sites and operators connect (port 0: any free one)', '0.0.0.0:8443')
    .option('--enrolment <host:port>', 'where invited sites enrol', '0.0.0.0:8444')
    .option('--host-name <name...>', 'names by which others reach this machine; the first is told to sites', [
      'localhost',
      '127.0.0.1',
    ])
    .addOption(
      new Option('--keep-updates <which>', 'updates that stay when no round needs them any more')
        .choices(KEEP_UPDATES)
        .default('none'),
    )
    .addOption(metricsOption())
    .option('--advertise <host:port...>', 'addresses of all coordinators, for invitations (default: its own)')
    .option('--json', 'one JSON object a line')
    .addOption(new Option('--parent-pipe').hideHelp())
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed coordinator start --workspace ./coordinator --host-name fl.example.org',
    )
    .action(start);
  withStoreOptions(starting, 'runs, models and the register, shared by all coordinators (default: WORKSPACE/store)');
  return command;
}

async function start(options: StartOptions): Promise<void> {
  const terminal = openTerminal(options);
  const signal = stopSignal(options);
  for (const address of options.advertise ?? []) parseAddress(address);
  const store = storeAddressOf(options);
  const coordinator = await startCoordinator({
    workspace: options.workspace,
    store,
    ...secretsOf(options, signal),
    federation: options.federation,
    listen: parseAddress(options.listen),
    enrolmentListen: parseAddress(options.enrolment),
    hostNames: options.hostName,
    advertise: options.advertise,
    keepUpdates: options.keepUpdates,
    software: `clara-fed ${VERSION}`,
    metrics: metricsAddress(options.metrics),
    onEvent: ({ event, ...facts }) => {
      terminal.record({ event, ...facts });
      terminal.line(
        event === 'standing-by'
          ? `standing by; the leader is ${(facts as { leader: string }).leader}`
          : `${event}  ${Object.values(facts).join('  ')}`,
      );
    },
  });
  void lookAtOnceWhenLocal([options.workspace, ...(store?.kind === 'directory' ? [store.root] : [])]);
  const { address, enrolmentAddress, operatorPlace, metricsAddress: metrics } = coordinator;
  void coordinator.serving.then(() => {
    terminal.record({ event: 'ready', address, enrolment: enrolmentAddress, operator: operatorPlace, metrics });
    terminal.line(
      `coordinator of federation ${options.federation} serves on ${address}; sites enrol on ${enrolmentAddress}`,
    );
    if (options.operatorSecret !== undefined || existsSync(operatorPlace)) {
      terminal.line(`operator's credentials: ${operatorPlace}`);
    }
    if (metrics) terminal.line(`figures for Prometheus: http://${metrics}/metrics`);
  });
  try {
    await Promise.race([coordinator.closed, aborted(signal)]);
  } finally {
    await coordinator.close();
  }
}

function secretsOf({ trust, authoritySecret, operatorSecret }: StartOptions, signal: AbortSignal) {
  if (authoritySecret !== undefined && authoritySecret === operatorSecret) {
    throw new ClaraError(
      'invalid-input',
      '--authority-secret and --operator-secret name the same secret; each needs its own',
    );
  }
  const secret = (option: string, arn: string | undefined) =>
    arn === undefined ? undefined : awsSecret(option, arn, signal);
  return {
    trust: secret('--authority-secret', authoritySecret) ?? trust,
    operator: secret('--operator-secret', operatorSecret),
  };
}
