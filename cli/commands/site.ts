import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Command, Option } from 'commander';
import { ClaraError } from '../../base/errors';
import { enrol } from '../../federation/enrol';
import { formatIdentity } from '../../federation/identity';
import { parseInvitation } from '../../federation/invitation';
import { startSiteAgent } from '../../fl-site/agent';
import { loadSiteConfiguration } from '../../fl-site/configuration';
import type { SiteEvent } from '../../fl-site/site-events';
import { referenceTrainer } from '../reference-trainer';
import { stopSignal } from '../stopping';
import { openTerminal, type Terminal } from '../terminal';
import { VERSION } from '../version';

interface StartOptions {
  readonly config: string;
  readonly json?: boolean;
  readonly parentPipe?: boolean;
}

interface EnrolOptions {
  readonly invitation: string;
  readonly credentials: string;
  readonly json?: boolean;
}

export function siteCommand(): Command {
  const command = new Command('site').description(
    "A hospital's agent: it dials the coordinator and trains when asked.",
  );
  command
    .command('enrol')
    .description(
      "Makes the site's key and trades a one-time invitation for a certificate; the key never leaves this machine.",
    )
    .requiredOption('--invitation <text|@file>', 'the invitation line, or @ and a file that holds it')
    .requiredOption('--credentials <dir>', 'where key and certificates go')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed site enrol --invitation @st-marys.invitation --credentials ./credentials',
    )
    .action(enrolSite);
  command
    .command('start')
    .description('Starts the agent and keeps it running.')
    .requiredOption('--config <file>', 'site configuration (YAML); see docs/site-configuration.md')
    .option('--json', 'one JSON object a line')
    .addOption(new Option('--parent-pipe').hideHelp())
    .addHelpText('after', '\nExample:\n  clara-fed site start --config site.yaml')
    .action(start);
  return command;
}

async function enrolSite(options: EnrolOptions): Promise<void> {
  const terminal = openTerminal(options);
  const text = options.invitation.startsWith('@')
    ? await readInvitation(options.invitation.slice(1))
    : options.invitation;
  const { identity, coordinator } = await enrol(parseInvitation(text), { folder: options.credentials });
  terminal.record({
    event: 'enrolled',
    identity: formatIdentity(identity),
    coordinator,
    credentials: options.credentials,
  });
  terminal.line(`enrolled as ${formatIdentity(identity)}; credentials are in ${options.credentials}`);
}

async function readInvitation(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    throw ClaraError.from(error, `the invitation ${file} cannot be read`);
  });
}

async function start(options: StartOptions): Promise<void> {
  const terminal = openTerminal(options);
  const configuration = await loadSiteConfiguration(path.resolve(options.config));
  let connectedOnce = false;
  const agent = await startSiteAgent(configuration, {
    referenceTrainer: referenceTrainer(),
    software: `clara-fed ${VERSION}`,
    signal: stopSignal(options),
    onEvent: (event) => {
      if (event.kind === 'connected' && !connectedOnce) {
        connectedOnce = true;
        terminal.record({ event: 'ready', site: configuration.id, coordinator: configuration.coordinator });
      }
      tell(terminal, event);
    },
  });
  await agent.closed;
}

function tell(terminal: Terminal, { kind, ...facts }: SiteEvent): void {
  terminal.record({ event: kind, ...facts });
  if (kind === 'progress' || kind === 'log') return;
  const words = Object.values(facts).filter((value) => typeof value === 'string' || typeof value === 'number');
  terminal.line(`${new Date().toISOString()}  ${kind}  ${words.join('  ')}`);
}
