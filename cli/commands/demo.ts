import path from 'node:path';
import { Command } from 'commander';
import { runDemo } from '../demo/demo';
import { MAX_SITES, siteNames } from '../demo/demo-options';
import { stopSignal } from '../stopping';
import { openTerminal } from '../terminal';
import { wholeNumber } from '../whole-number';

interface DemoOptions {
  readonly rounds: string;
  readonly sites: string;
  readonly seed: string;
  readonly workspace: string;
  readonly dataset?: string;
  readonly keep?: boolean;
  readonly json?: boolean;
}

export function demoCommand(): Command {
  return new Command('demo')
    .description('Three hospitals train one spleen model on this machine, and a scan is segmented with it.')
    .option('--rounds <n>', 'federated rounds', '5')
    .option('--sites <n>', 'hospitals', '3')
    .option('--dataset <path>', 'a Decathlon folder or archive (Task09_Spleen.tar) instead of phantoms')
    .option('--seed <n>', 'the same seed gives the same model, byte for byte', '1')
    .option(
      '--workspace <dir>',
      'where everything is kept; starting again there goes on',
      path.join('.clara-fed', 'demo'),
    )
    .option('--keep', 'leave the services up at the end, until Ctrl-C')
    .option('--json', 'one JSON object a line; the last is {"event":"done",...}')
    .addHelpText('after', '\nExample:\n  clara-fed demo --rounds 3 --workspace ./demo --keep')
    .action(demo);
}

async function demo(options: DemoOptions): Promise<void> {
  await runDemo({
    workspace: options.workspace,
    settings: {
      rounds: wholeNumber('--rounds', options.rounds, 1, 1000),
      sites: siteNames(wholeNumber('--sites', options.sites, 1, MAX_SITES)),
      seed: wholeNumber('--seed', options.seed, 0, 0xffffffff),
      ...(options.dataset ? { dataset: path.resolve(options.dataset) } : {}),
    },
    keep: options.keep === true,
    terminal: openTerminal(options),
    signal: stopSignal(),
  });
}
