import path from 'node:path';
import { Command, Option } from 'commander';
import { ClaraError, hasCode } from '../../base/errors';
import {
  type MetricsAddress,
  type MetricsListener,
  type ServiceHealth,
  startMetricsListener,
} from '../../base/metrics-listener';
import { startSiteAgent } from '../../fl-site/agent';
import { loadSiteConfiguration, type SiteConfiguration } from '../../fl-site/configuration';
import { SiteMetrics } from '../../fl-site/observe/site-metrics';
import { endOfCertificate, ownCredentials } from '../../fl-site/own-credentials';
import type { InvitationSource } from '../../fl-site/self-enrolment';
import type { SiteEvent } from '../../fl-site/site-events';
import { Workspace } from '../../fl-site/workspace';
import { lookAtOnceWhenLocal } from '../file-waiting';
import { type InvitationOptions, invitationSource, withInvitationOptions } from '../invitation-option';
import { metricsAddress, metricsOption } from '../metrics-option';
import { modelPublisher } from '../model-publisher';
import { referenceTrainer } from '../reference-trainer';
import { stopSignal } from '../stopping';
import { openTerminal, type Terminal } from '../terminal';
import { VERSION } from '../version';

interface StartOptions extends InvitationOptions {
  readonly config: string;
  readonly metrics?: string | true;
  readonly json?: boolean;
  readonly parentPipe?: boolean;
}

/** Longest part of a problem in what health says. */
const MAX_PROBLEM = 1000;

export function startCommand(): Command {
  const command = new Command('start')
    .description(
      'Starts the agent and keeps it running. With an invitation a new site enrols itself, and waits until there is one.',
    )
    .requiredOption('--config <file>', 'site configuration (YAML); see docs/site-configuration.md');
  const invitation = 'file that holds the invitation, now or later; a site that is enrolled does not look at it';
  return withInvitationOptions(command, '<@file>', invitation)
    .addOption(metricsOption())
    .option('--json', 'one JSON object a line')
    .addOption(new Option('--parent-pipe').hideHelp())
    .addHelpText('after', '\nExample:\n  clara-fed site start --config site.yaml --invitation @st-marys.invitation')
    .action(start);
}

async function start(options: StartOptions): Promise<void> {
  const terminal = openTerminal(options);
  const invitation = waitedSource(options);
  const configuration = await loadSiteConfiguration(path.resolve(options.config));
  const address = metricsAddress(options.metrics);
  const health = new AgentHealth();
  const metrics = address && (await serveMetrics(configuration, address, invitation, () => health.now));
  if (metrics) terminal.record({ event: 'metrics', address: metrics.listener.address });
  if (metrics) terminal.line(`figures for Prometheus: http://${metrics.listener.address}/metrics`);
  let connectedOnce = false;
  const agent = await startSiteAgent(configuration, {
    referenceTrainer: referenceTrainer(),
    publisher: modelPublisher(),
    invitation,
    software: `clara-fed ${VERSION}`,
    signal: stopSignal(options),
    onEvent: (event) => {
      health.onEvent(event);
      if (event.kind === 'connected' && !connectedOnce) {
        connectedOnce = true;
        terminal.record({ event: 'ready', site: configuration.id, coordinator: configuration.coordinator });
      }
      metrics?.figures.onEvent(event);
      tell(terminal, event);
    },
  }).catch(async (error: unknown) => {
    await metrics?.listener.close();
    throw error;
  });
  void lookAtOnceWhenLocal([configuration.workspace]);
  try {
    await agent.closed;
  } finally {
    await metrics?.listener.close();
  }
}

/** @throws ClaraError `invalid-input` for a text in the place of a file */
function waitedSource(options: StartOptions): InvitationSource | undefined {
  if (options.invitation?.startsWith('@') !== false) return invitationSource(options);
  throw new ClaraError(
    'invalid-input',
    '--invitation of "site start" must be @ and a file: every user of this machine sees the arguments of a service, and another invitation could not come',
  );
}

/** What an agent says of itself. Whatever it waits for it waits for somebody else: starting it anew would help nobody. */
class AgentHealth {
  #connectedTo: string | undefined;
  #waits = '';
  #problem = '';

  get now(): ServiceHealth {
    return { status: 'ok', detail: this.#waits === '' ? this.#connection() : `${this.#waits}.${this.#problem}` };
  }

  onEvent(event: SiteEvent): void {
    if (event.kind === 'connected') this.#connectedTo = event.coordinator;
    if (event.kind === 'disconnected') this.#connectedTo = undefined;
    if (event.kind === 'enrolment-waits') this.#waits = event.message.replace(/^./, (first) => first.toUpperCase());
    if (event.kind === 'enrolled') this.#waits = '';
    if (event.kind === 'problem') this.#problem = ` Last problem: ${event.message.slice(0, MAX_PROBLEM)}.`;
  }

  #connection(): string {
    const at = this.#connectedTo;
    return at === undefined ? 'Not connected; the agent goes on trying.' : `Connected to ${at}.`;
  }
}

async function serveMetrics(
  site: SiteConfiguration,
  address: MetricsAddress,
  invitation: InvitationSource | undefined,
  health: () => ServiceHealth,
): Promise<{ readonly figures: SiteMetrics; readonly listener: MetricsListener }> {
  const credentials = await ownCredentials(site).catch((error: unknown) => {
    if (invitation && hasCode(error, 'not-found')) return undefined;
    throw error;
  });
  const figures = new SiteMetrics({
    freeBytes: () => new Workspace(site.workspace).freeBytes(),
    certificateEnds: credentials && endOfCertificate(credentials),
    hours: site.policy.hours,
  });
  return { figures, listener: await startMetricsListener(address, figures, health) };
}

function tell(terminal: Terminal, { kind, ...facts }: SiteEvent): void {
  terminal.record({ event: kind, ...facts });
  if (kind === 'progress' || kind === 'log') return;
  const words = Object.values(facts).filter((value) => typeof value === 'string' || typeof value === 'number');
  terminal.line(`${new Date().toISOString()}  ${kind}  ${words.join('  ')}`);
}
