import { ClaraError, hasCode } from '../base/errors';
import type { ProgramStart } from '../base/own-program';
import { openChannel } from '../federation/channel';
import { type Credentials, loadCredentials } from '../federation/credentials';
import type { CoordinatorMessage, Task, TaskResult } from '../federation/gen/federation/v1/federation_pb';
import { formatIdentity } from '../federation/identity';
import { PROTOCOL } from '../federation/protocol';
import type { TaskKind } from '../federation/trainer-contract';
import { Approvals } from './approvals';
import { type Pacing, REAL_PACING } from './backoff';
import { keepCertificateFresh } from './certificate-renewal';
import type { SiteConfiguration } from './configuration';
import { Connection } from './connection';
import type { CoordinatorClient } from './coordinator-client';
import { CoordinatorLine } from './coordinator-line';
import { grpcCoordinatorClient } from './grpc-coordinator-client';
import { ModelCache } from './model-cache';
import { ModelPromotions } from './promotions/model-promotions';
import { PromotionRequests } from './promotions/promotion-requests';
import { ProposalDesk } from './proposal-desk';
import { Proposals } from './proposals';
import type { SiteEvent } from './site-events';
import { TaskJournal } from './task-journal';
import { TaskRunner } from './task-runner';
import { ProcessTrainer } from './trainers/process-trainer';
import { trainerProgram } from './trainers/trainer-program';
import { Workspace } from './workspace';
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
  const program = trainerProgram(site, options.referenceTrainer);
  const credentials = await loadCredentials(site.credentials);
  checkIdentity(site, credentials);
  const unlock = await lockWorkspace(site.workspace);
  const stop = new AbortController();
  const onAbort = () => stop.abort();
  options.signal?.addEventListener('abort', onAbort);
  if (options.signal?.aborted) onAbort();
  const closed = new Agent(site, credentials, program, options).live(stop.signal).finally(async () => {
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

/** The parts of an agent, and what they tell each other. */
class Agent {
  readonly #workspace: Workspace;
  readonly #approvals: Approvals;
  readonly #runner: TaskRunner;
  readonly #connection: Connection;
  readonly #desk: ProposalDesk;
  readonly #promotions: ModelPromotions;
  readonly #pacing: Pacing;
  readonly #line: CoordinatorLine;
  /** Tasks that the coordinator asked for on the present connection. */
  #announced = new Set<string>();

  constructor(
    private readonly site: SiteConfiguration,
    private readonly credentials: Credentials,
    program: ProgramStart,
    private readonly options: SiteAgentOptions,
  ) {
    this.#pacing = options.pacing ?? REAL_PACING;
    this.#line = new CoordinatorLine([site.coordinator].flat(), credentials, options.dial ?? dialGrpc);
    this.#workspace = new Workspace(site.workspace);
    this.#approvals = new Approvals(this.#workspace);
    this.#runner = this.#makeRunner(program);
    this.#connection = this.#makeConnection();
    this.#desk = new ProposalDesk({
      site,
      approvals: this.#approvals,
      proposals: new Proposals(this.#workspace),
      pacing: this.#pacing,
      send: (message) => this.#connection.send(message),
      tell: (event) => this.#tell(event),
      onProblem: (error) => this.#onProblem(error),
    });
    this.#promotions = new ModelPromotions({
      site,
      workspace: this.#workspace,
      requests: new PromotionRequests(this.#workspace),
      publisher: options.publisher,
      client: () => this.#line.client,
      pacing: this.#pacing,
      send: (message) => this.#connection.send(message),
      tell: (event) => this.#tell(event),
      onProblem: (error) => this.#onProblem(error),
    });
  }

  /** Works until the signal aborts; then nothing is left running. */
  async live(signal: AbortSignal): Promise<void> {
    // One part that fails takes the other along.
    const stop = new AbortController();
    const onAbort = () => stop.abort();
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    try {
      await this.#runner.recover();
      const { signal: until } = stop;
      const watching = [this.#desk.watch(until), this.#promotions.watch(until)];
      await Promise.all([this.#connection.run(until), this.#keepCertificateFresh(until), ...watching]);
    } finally {
      signal.removeEventListener('abort', onAbort);
      stop.abort();
      await Promise.all([this.#runner.close(), this.#promotions.close()]);
      this.#line.close();
    }
  }

  #makeRunner(program: ProgramStart): TaskRunner {
    const { site } = this;
    const { graceMillis } = this.options;
    return new TaskRunner({
      site,
      workspace: this.#workspace,
      approvals: this.#approvals,
      journal: new TaskJournal(this.#workspace),
      models: new ModelCache(this.#workspace),
      trainer: new ProcessTrainer({ ...site.trainer, program, graceMillis, pacing: this.#pacing }),
      client: () => this.#line.client,
      pacing: this.#pacing,
      onStarted: (task) =>
        this.#tell({ kind: 'task-started', ...about(task), round: task.round, taskKind: kindOf(task) }),
      onProgress: (task, activity) => {
        this.#connection.progressChanged();
        this.#tell({ kind: 'progress', ...about(task), ...activity });
      },
      onLog: (task, line) => this.#tell({ kind: 'log', ...about(task), line }),
      onResult: (task, result, again) => {
        this.#connection.send({ case: 'taskResult', value: result });
        if (!again) this.#tell(resultEvent(task, result));
      },
      onProblem: (error) => this.#onProblem(error),
    });
  }

  #makeConnection(): Connection {
    const { coordinator, trainer } = this.site;
    const line = this.#line;
    return new Connection({
      client: () => this.#line.client,
      hello: async () => ({
        protocol: PROTOCOL,
        software: this.options.software ?? 'clara-fed',
        trainer: trainer.name,
        freeBytes: BigInt(await this.#workspace.freeBytes()),
      }),
      onConnected: ({ software }) => {
        this.#announced = new Set();
        this.#tell({ kind: 'connected', coordinator: line.address, software });
        this.#runner.tellResults();
      },
      onDisconnected: (error, retryMillis) => {
        this.#tell({ kind: 'disconnected', coordinator: line.address, reason: error.message, retryMillis });
        // Given up by this agent itself, to dial anew: it has done so already.
        if (!hasCode(error, 'cancelled')) line.next();
      },
      onMessage: (message) => {
        this.#onMessage(message).catch((error: unknown) => this.#onProblem(ClaraError.from(error)));
      },
      progress: () => this.#runner.progress(),
      pacing: this.#pacing,
      ...([coordinator].flat().length > 1 ? { welcomeMillis: NEXT_MILLIS } : {}),
    });
  }

  async #onMessage(message: CoordinatorMessage['message']): Promise<void> {
    switch (message.case) {
      case 'proposal':
        return this.#desk.propose(message.value.run, message.value.planJson);
      case 'task':
        this.#announced.add(message.value.id);
        // Both are queued before the next message can be.
        void this.#runner.cancelOthers(message.value.run, new Set(this.#announced));
        return this.#runner.accept(message.value);
      case 'taskCancelled': {
        const { task: id, reason } = message.value;
        return this.#runner.cancel(id, (task) => this.#tell({ kind: 'task-cancelled', ...about(task), reason }));
      }
      case 'taskSettled':
        return this.#runner.settle(message.value.task);
      case 'runFinished':
        this.#desk.forget(message.value.run);
        await this.#runner.finishRun(message.value.run);
        return this.#tell({ kind: 'run-finished', run: message.value.run, state: message.value.state });
      case 'modelAnnouncement':
        return this.#promotions.announce(message.value);
      default:
        // A welcome out of turn, or a message of a later protocol: nothing that this agent could do.
        return;
    }
  }

  #keepCertificateFresh(signal: AbortSignal): Promise<void> {
    const renewal = {
      folder: this.site.credentials,
      credentials: this.credentials,
      client: () => this.#line.client,
      pacing: this.#pacing,
      onRenewed: (renewed: Credentials, ends: Date) => {
        this.#line.renew(renewed);
        this.#connection.reconnect();
        this.#tell({ kind: 'certificate-renewed', ends: ends.toISOString() });
      },
      onFailure: (error: ClaraError) => this.#onProblem(error),
    };
    return keepCertificateFresh(renewal, signal);
  }

  #tell(event: SiteEvent): void {
    this.options.onEvent?.(event);
  }

  #onProblem({ message }: ClaraError): void {
    this.#tell({ kind: 'problem', message });
  }
}

/** With several coordinators, one that says nothing for so long is not waited for. */
const NEXT_MILLIS = 4000;
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
