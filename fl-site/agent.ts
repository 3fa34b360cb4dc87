import { ClaraError } from '../base/errors';
import type { ProgramStart } from '../base/own-program';
import { openChannel } from '../federation/channel';
import { type Credentials, loadCredentials } from '../federation/credentials';
import { formatIdentity } from '../federation/identity';
import { AgentCore } from './agent-core';
import { type Pacing, REAL_PACING } from './backoff';
import { keepCertificateFresh } from './certificate-renewal';
import type { SiteConfiguration } from './configuration';
import type { CoordinatorClient } from './coordinator-client';
import { CoordinatorLine } from './coordinator-line';
import { grpcCoordinatorClient } from './grpc-coordinator-client';
import type { SiteEvent } from './site-events';
import { makeTrainer } from './trainers/make-trainer';
import type { Trainer } from './trainers/trainer';
import { lockWorkspace } from './workspace-lock';

export interface SiteAgentOptions {
  /** The program behind `adapter: reference`; this room knows no training. */
  readonly referenceTrainer?: ProgramStart;
  /** The program that publishes promoted models, `clara-fed aiaa publish`; this room knows no annotation server. */
  readonly publisher?: ProgramStart;
  /** Told to the coordinator, for people. @default clara-fed */
  readonly software?: string;
  /** Ends the agent as {@link SiteAgent.close} does. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: SiteEvent) => void;
  /** From SIGTERM to SIGKILL of a trainer. @default 30 000 */
  readonly graceMillis?: number;
  readonly pacing?: Pacing;
  /** How the coordinator is reached. @default gRPC over mutual TLS with the credentials of the configuration */
  readonly dial?: (address: string, credentials: Credentials) => CoordinatorClient;
}

export interface SiteAgent {
  /** Resolves when the agent has ended and nothing of it is left running; rejects when it could not go on. */
  readonly closed: Promise<void>;
  /** Stops politely: a running trainer may save its state, and the next agent goes on with it. */
  close(): Promise<void>;
}

/**
 * Starts the agent of a site: it dials the coordinator, answers proposals by the site's policy, does tasks, and goes on
 * until it is closed. Losing the coordinator ends nothing.
 *
 * @throws ClaraError when it cannot start: no credentials or those of another site, a workspace that is in use or not
 *   writable, `adapter: reference` without a reference trainer
 */
export async function startSiteAgent(site: SiteConfiguration, options: SiteAgentOptions = {}): Promise<SiteAgent> {
  const { referenceTrainer: reference, graceMillis, pacing = REAL_PACING } = options;
  const trainer = makeTrainer(site, { reference, graceMillis, pacing });
  const credentials = await loadCredentials(site.credentials);
  checkIdentity(site, credentials);
  const unlock = await lockWorkspace(site.workspace);
  const stop = new AbortController();
  const onAbort = () => stop.abort();
  options.signal?.addEventListener('abort', onAbort);
  if (options.signal?.aborted) onAbort();
  const closed = agentProcess(site, credentials, trainer, options)
    .live(stop.signal)
    .finally(async () => {
      options.signal?.removeEventListener('abort', onAbort);
      await unlock();
    });
  // Whoever waits for `closed` learns of a failure; nobody waiting is no reason to crash.
  closed.catch(() => undefined);
  return {
    closed,
    close: () => {
      stop.abort();
      return closed;
    },
  };
}

/** The agent with what it has as a process: its credentials, a network, and trainers as processes. */
function agentProcess(
  site: SiteConfiguration,
  credentials: Credentials,
  trainer: Trainer,
  options: SiteAgentOptions,
): AgentCore {
  const { publisher, software, onEvent, pacing = REAL_PACING } = options;
  const line = new CoordinatorLine([site.coordinator].flat(), credentials, options.dial ?? dialGrpc);
  return new AgentCore({
    site,
    line,
    trainer,
    publisher,
    software,
    onEvent,
    pacing,
    beside: (signal, reconnect) =>
      keepCertificateFresh(
        {
          folder: site.credentials,
          credentials,
          client: () => line.client,
          pacing,
          onRenewed: (renewed, ends) => {
            line.renew(renewed);
            reconnect();
            onEvent?.({ kind: 'certificate-renewed', ends: ends.toISOString() });
          },
          onFailure: ({ message }) => onEvent?.({ kind: 'problem', message }),
        },
        signal,
      ),
  });
}

function checkIdentity(site: SiteConfiguration, { identity }: Credentials): void {
  if (identity.kind === 'site' && identity.id === site.id) return;
  throw new ClaraError(
    'permission-denied',
    `the credentials in ${site.credentials} are of ${formatIdentity(identity)}, but the configuration is of site ${site.id}; enrol this site`,
  );
}

function dialGrpc(address: string, credentials: Credentials): CoordinatorClient {
  return grpcCoordinatorClient(openChannel({ address, credentials }));
}
