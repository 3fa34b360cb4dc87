import { ClaraError, hasCode } from '../base/errors';
import type { ProgramStart } from '../base/own-program';
import type { CoordinatorMessage, Task, TaskResult } from '../federation/gen/federation/v1/federation_pb';
import { PROTOCOL } from '../federation/protocol';
import type { TaskKind } from '../federation/trainer-contract';
import { Approvals } from './approvals';
import { type Pacing, REAL_PACING } from './backoff';
import type { SiteConfiguration } from './configuration';
import { Connection } from './connection';
import type { CoordinatorClient } from './coordinator-client';
import { ModelCache } from './model-cache';
import { ModelPromotions } from './promotions/model-promotions';
import { PromotionRequests } from './promotions/promotion-requests';
import { ProposalDesk } from './proposal-desk';
import { Proposals } from './proposals';
import type { SiteEvent } from './site-events';
import { TaskJournal } from './task-journal';
import { TaskRunner } from './task-runner';
import type { Trainer } from './trainers/trainer';
import { WorkingHours } from './working-hours';
import { Workspace } from './workspace';

/** How an agent reaches its coordinator, whatever lies between them. */
export interface Line {
  /** For people. */
  readonly address: string;
  /** The coordinator as it can be reached now. */
  readonly client: CoordinatorClient;
  /** The connection failed: the next one is made in another way, if there is one. */
  next(): void;
  close(): void;
}

export interface AgentCoreOptions {
  readonly site: SiteConfiguration;
  readonly line: Line;
  readonly trainer: Trainer;
  readonly publisher?: ProgramStart | undefined;
  /** Told to the coordinator, for people. @default clara-fed */
  readonly software?: string | undefined;
  readonly onEvent?: ((event: SiteEvent) => void) | undefined;
  readonly pacing?: Pacing | undefined;
  /** How often changed progress is told at most. @default as {@link Connection} does */
  readonly promptMillis?: number | undefined;
  /** Milliseconds since 1970. @default the clock of this machine */
  readonly now?: (() => number) | undefined;
  /** What else goes on as long as the agent lives; `reconnect` has the connection made anew. @default nothing */
  readonly beside?: (signal: AbortSignal, reconnect: () => void) => Promise<void>;
}

/**
 * The parts of an agent, and what they tell each other: everything that a site does, but for what belongs to a process of its
 * own (its credentials, the lock of its workspace, the network).
 */
export class AgentCore {
  readonly #workspace: Workspace;
  readonly #approvals: Approvals;
  readonly #runner: TaskRunner;
  readonly #connection: Connection;
  readonly #desk: ProposalDesk;
  readonly #promotions: ModelPromotions;
  readonly #pacing: Pacing;
  /** Tasks that the coordinator asked for on the present connection. */
  #announced = new Set<string>();

  constructor(private readonly options: AgentCoreOptions) {
    const { site, line } = options;
    this.#pacing = options.pacing ?? REAL_PACING;
    this.#workspace = new Workspace(site.workspace);
    this.#approvals = new Approvals(this.#workspace);
    this.#runner = this.#makeRunner();
    this.#connection = this.#makeConnection();
    this.#desk = new ProposalDesk({
      site,
      approvals: this.#approvals,
      proposals: new Proposals(this.#workspace),
      pacing: this.#pacing,
      now: options.now ?? Date.now,
      send: (message) => this.#connection.send(message),
      tell: (event) => this.#tell(event),
      onProblem: (error) => this.#onProblem(error),
    });
    this.#promotions = new ModelPromotions({
      site,
      workspace: this.#workspace,
      requests: new PromotionRequests(this.#workspace),
      publisher: options.publisher,
      client: () => line.client,
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
      const { signal: until } = stop;
      await this.#runner.recover(until).catch((error: unknown) => {
        if (!until.aborted) throw error;
      });
      const watching = [this.#desk.watch(until), this.#promotions.watch(until)];
      const beside = this.options.beside?.(until, () => this.#connection.reconnect());
      await Promise.all([this.#connection.run(until), beside, ...watching]);
    } finally {
      signal.removeEventListener('abort', onAbort);
      stop.abort();
      await Promise.all([this.#runner.close(), this.#promotions.close()]);
      this.options.line.close();
    }
  }

  #makeRunner(): TaskRunner {
    const { site, line, trainer, now = Date.now } = this.options;
    return new TaskRunner({
      site,
      now,
      hours: new WorkingHours({ hours: site.policy.hours, now, pacing: this.#pacing }),
      workspace: this.#workspace,
      approvals: this.#approvals,
      journal: new TaskJournal(this.#workspace),
      models: new ModelCache(this.#workspace),
      trainer,
      client: () => line.client,
      pacing: this.#pacing,
      onStarted: (task) =>
        this.#tell({ kind: 'task-started', ...about(task), round: task.round, taskKind: kindOf(task) }),
      onProgress: (task, activity) => {
        this.#connection.progressChanged();
        this.#tell({ kind: 'progress', ...about(task), ...activity });
      },
      onLog: (task, line) => this.#tell({ kind: 'log', ...about(task), line }),
      onHeld: (task, reason) => this.#tell({ kind: 'task-waits', ...about(task), reason }),
      onResult: (task, result, again) => {
        this.#connection.send({ case: 'taskResult', value: result });
        if (!again) this.#tell(resultEvent(task, result));
      },
      onProblem: (error) => this.#onProblem(error),
    });
  }

  #makeConnection(): Connection {
    const { line, site } = this.options;
    const { coordinator, trainer } = site;
    return new Connection({
      client: () => line.client,
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
      promptMillis: this.options.promptMillis,
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

  #tell(event: SiteEvent): void {
    this.options.onEvent?.(event);
  }

  #onProblem({ message }: ClaraError): void {
    this.#tell({ kind: 'problem', message });
  }
}

/** With several coordinators, one that says nothing for so long is not waited for. */
const NEXT_MILLIS = 4000;

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
