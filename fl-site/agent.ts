import { create } from '@bufbuild/protobuf';
import { ClaraError } from '../base/errors';
import type { ProgramStart } from '../base/own-program';
import { openChannel } from '../federation/channel';
import { type Credentials, loadCredentials } from '../federation/credentials';
import {
  type CoordinatorMessage,
  ProposalAnswerSchema,
  type Task,
  type TaskResult,
} from '../federation/gen/federation/v1/federation_pb';
import { formatIdentity } from '../federation/identity';
import type { TaskKind } from '../federation/trainer-contract';
import { Approvals } from './approvals';
import { type Pacing, REAL_PACING } from './backoff';
import { keepCertificateFresh } from './certificate-renewal';
import type { SiteConfiguration } from './configuration';
import { Connection } from './connection';
import type { CoordinatorClient } from './coordinator-client';
import { grpcCoordinatorClient } from './grpc-coordinator-client';
import { ModelCache } from './model-cache';
import { answerProposal } from './policy';
import type { SiteEvent } from './site-events';
import { TaskJournal } from './task-journal';
import { TaskRunner } from './task-runner';
import { ProcessTrainer } from './trainers/process-trainer';
import { Workspace } from './workspace';
import { lockWorkspace } from './workspace-lock';

const PROTOCOL = 1;

export interface SiteAgentOptions {
  /** The program behind `adapter: reference`; this room knows no training. */
  readonly referenceTrainer?: ProgramStart;
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
  const program = programOf(site, options);
  const credentials = await loadCredentials(site.credentials);
  checkIdentity(site, credentials);
  const unlock = await lockWorkspace(site.workspace);
  const { pacing = REAL_PACING } = options;
  const onEvent = options.onEvent ?? (() => undefined);
  const dial = options.dial ?? dialGrpc;
  let client = dial(site.coordinator, credentials);

  const workspace = new Workspace(site.workspace);
  const approvals = new Approvals(workspace);
  const onProblem = ({ message }: ClaraError) => onEvent({ kind: 'problem', message });
  const runner = new TaskRunner({
    site,
    workspace,
    approvals,
    journal: new TaskJournal(workspace),
    models: new ModelCache(workspace),
    trainer: new ProcessTrainer({ ...site.trainer, program, graceMillis: options.graceMillis, pacing }),
    client: () => client,
    pacing,
    onStarted: (task) => onEvent({ kind: 'task-started', ...about(task), round: task.round, taskKind: kindOf(task) }),
    onProgress: (task, activity) => {
      connection.progressChanged();
      onEvent({ kind: 'progress', ...about(task), ...activity });
    },
    onLog: (task, line) => onEvent({ kind: 'log', ...about(task), line }),
    onResult: (task, result, again) => {
      connection.send({ case: 'taskResult', value: result });
      if (!again) onEvent(resultEvent(task, result));
    },
    onProblem,
  });

  /** Tasks that the coordinator asked for on the present connection. */
  let announced = new Set<string>();
  const connection = new Connection({
    client: () => client,
    hello: async () => ({
      protocol: PROTOCOL,
      software: options.software ?? 'clara-fed',
      trainer: site.trainer.name,
      freeBytes: BigInt(await workspace.freeBytes()),
    }),
    onConnected: ({ software }) => {
      announced = new Set();
      onEvent({ kind: 'connected', coordinator: site.coordinator, software });
      runner.tellResults();
    },
    onDisconnected: ({ message }, retryMillis) =>
      onEvent({ kind: 'disconnected', coordinator: site.coordinator, reason: message, retryMillis }),
    onMessage: (message) => void onMessage(message).catch((error: unknown) => onProblem(ClaraError.from(error))),
    progress: () => runner.progress(),
    pacing,
  });

  const onMessage = async (message: CoordinatorMessage['message']): Promise<void> => {
    switch (message.case) {
      case 'proposal':
        return answer(message.value.run, message.value.planJson);
      case 'task':
        announced.add(message.value.id);
        // Both are queued before the next message can be.
        void runner.cancelOthers(message.value.run, new Set(announced));
        return runner.accept(message.value);
      case 'taskCancelled': {
        const { reason } = message.value;
        return runner.cancel(message.value.task, (task) => onEvent({ kind: 'task-cancelled', ...about(task), reason }));
      }
      case 'taskSettled':
        return runner.settle(message.value.task);
      case 'runFinished':
        await runner.finishRun(message.value.run);
        return onEvent({ kind: 'run-finished', run: message.value.run, state: message.value.state });
      default:
        // A welcome out of turn, or a message of a later protocol: nothing that this agent could do.
        return;
    }
  };

  const answer = async (run: string, planJson: string): Promise<void> => {
    const decision = answerProposal(planJson, site);
    if (decision.approved) await approvals.record(run, decision.plan);
    const reason = decision.approved ? '' : decision.reason;
    const value = create(ProposalAnswerSchema, { run, approved: decision.approved, reason });
    connection.send({ case: 'proposalAnswer', value });
    onEvent({ kind: 'proposal-answered', run, approved: decision.approved, reason });
  };

  const stop = new AbortController();
  const onAbort = () => stop.abort();
  options.signal?.addEventListener('abort', onAbort);
  if (options.signal?.aborted) onAbort();

  const live = async (): Promise<void> => {
    try {
      await runner.recover();
      const renewal = {
        folder: site.credentials,
        credentials,
        client: () => client,
        pacing,
        onRenewed: (renewed: Credentials, ends: Date) => {
          const old = client;
          client = dial(site.coordinator, renewed);
          connection.reconnect();
          // Calls that run on it come to their end.
          old.close();
          onEvent({ kind: 'certificate-renewed', ends: ends.toISOString() });
        },
        onFailure: onProblem,
      };
      await Promise.all([connection.run(stop.signal), keepCertificateFresh(renewal, stop.signal)]);
    } finally {
      stop.abort();
      await runner.close();
      client.close();
      options.signal?.removeEventListener('abort', onAbort);
      await unlock();
    }
  };
  const closed = live();
  return {
    closed,
    close: () => {
      stop.abort();
      return closed;
    },
  };
}

function programOf(site: SiteConfiguration, { referenceTrainer }: SiteAgentOptions): ProgramStart {
  const { trainer } = site;
  if (trainer.adapter === 'process') return { command: trainer.command[0], args: trainer.command.slice(1) };
  if (referenceTrainer) return referenceTrainer;
  throw new ClaraError(
    'unsupported',
    `${site.id} is configured for the reference trainer, which this program does not bring; use adapter: process`,
  );
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

const about = ({ id, run }: Task) => ({ task: id, run });
const kindOf = ({ kind }: Task) => kind as TaskKind;

function resultEvent(task: Task, { outcome }: TaskResult): SiteEvent {
  if (outcome.case === 'done') {
    const { samples, metrics, seconds } = outcome.value;
    const done = { round: task.round, taskKind: kindOf(task), samples: Number(samples), metrics, seconds };
    return { kind: 'task-done', ...about(task), ...done };
  }
  const { code = 'internal', message = '' } = outcome.value ?? {};
  return { kind: 'task-failed', ...about(task), code: code as SiteFailureCode, message };
}

type SiteFailureCode = Extract<SiteEvent, { kind: 'task-failed' }>['code'];
