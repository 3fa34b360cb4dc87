import type { ProgramStart } from '../base/own-program';
import { openChannel } from '../federation/channel';
import type { Credentials } from '../federation/credentials';
import { AgentCore } from './agent-core';
import { type Pacing, REAL_PACING } from './backoff';
import { keepCertificateFresh } from './certificate-renewal';
import type { SiteConfiguration } from './configuration';
import type { CoordinatorClient } from './coordinator-client';
import { CoordinatorLine } from './coordinator-line';
import { grpcCoordinatorClient } from './grpc-coordinator-client';
import { ownCredentials } from './own-credentials';
import { type InvitationSource, selfEnrolment, usableCredentials } from './self-enrolment';
import type { SiteEvent } from './site-events';
import { makeTrainer } from './trainers/make-trainer';
import type { Trainer } from './trainers/trainer';
import { lockWorkspace } from './workspace-lock';

export interface SiteAgentOptions {
  /** The program behind `adapter: reference`; this room knows no training. */
  readonly referenceTrainer?: ProgramStart;
  /** The program that publishes promoted models, `clara-fed aiaa publish`; this room knows no annotation server. */
  readonly publisher?: ProgramStart;
  /**
   * Where an invitation is waited for when the site has no credentials, or their certificate has ended; it is read in no other
   * case. @default none: the site must be enrolled already
   */
  readonly invitation?: InvitationSource | undefined;
  /** Told to the coordinator, for people. @default clara-fed */
  readonly software?: string;
  /** Ends the agent as {@link SiteAgent.close} does. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: SiteEvent) => void;
  /** From SIGTERM to SIGKILL of a trainer. @default 30 000 */
  readonly graceMillis?: number;
  readonly pacing?: Pacing;
  /** Milliseconds since 1970, as deadlines and the site's hours count. @default the clock of this machine */
  readonly now?: () => number;
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
 * Starts the agent of a site: it enrols if it has to, dials the coordinator, answers proposals by the site's policy, does tasks,
 * and goes on until it is closed. Losing the coordinator ends nothing.
 *
 * @throws ClaraError when it cannot start: no credentials or those of another site, a workspace that is in use or not
 *   writable, `adapter: reference` without a reference trainer
 */
export async function startSiteAgent(site: SiteConfiguration, options: SiteAgentOptions = {}): Promise<SiteAgent> {
  const { referenceTrainer: reference, invitation, graceMillis, pacing = REAL_PACING } = options;
  const { onEvent = () => undefined } = options;
  const trainer = makeTrainer(site, { reference, graceMillis, pacing });
  const present = await (invitation ? usableCredentials(site) : ownCredentials(site));
  const unlock = await lockWorkspace(site.workspace);
  const stop = new AbortController();
  const onAbort = () => stop.abort();
  options.signal?.addEventListener('abort', onAbort);
  if (options.signal?.aborted) onAbort();
  const live = async (): Promise<void> => {
    const credentials =
      present ?? (invitation && (await selfEnrolment({ site, source: invitation, pacing, onEvent }, stop.signal)));
    // Without any it was stopped while it waited.
    if (credentials) await agentProcess(site, credentials, trainer, options).live(stop.signal);
  };
  const closed = live().finally(async () => {
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
  const { publisher, software, invitation, now, pacing = REAL_PACING } = options;
  const { onEvent = () => undefined } = options;
  const line = new CoordinatorLine([site.coordinator].flat(), credentials, options.dial ?? dialGrpc);
  return new AgentCore({
    site,
    line,
    trainer,
    publisher,
    software,
    onEvent,
    pacing,
    now,
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
            onEvent({ kind: 'certificate-renewed', ends: ends.toISOString() });
          },
          onFailure: ({ message }) => onEvent({ kind: 'problem', message }),
          enrolAnew: invitation && ((until) => selfEnrolment({ site, source: invitation, pacing, onEvent }, until)),
        },
        signal,
      ),
  });
}

function dialGrpc(address: string, credentials: Credentials): CoordinatorClient {
  return grpcCoordinatorClient(openChannel({ address, credentials }));
}
