import { create } from '@bufbuild/protobuf';
import { ClaraError, hasCode } from '../../base/errors';
import type { WireChunk } from '../../federation/chunk-codec';
import {
  type CoordinatorMessage,
  type Federation,
  HeartbeatHeardSchema,
  type SiteMessage,
  TaskCancelledSchema,
  type TaskResult,
  TaskSettledSchema,
  WelcomeSchema,
} from '../../federation/gen/federation/v1/federation_pb';
import type { SiteIdentity } from '../../federation/identity';
import { PROTOCOL, TASK_METADATA } from '../../federation/protocol';
import type { ServiceHandlers } from '../../federation/service-handlers';
import type { Command } from '../runs/decide';
import { awaits } from '../runs/going';
import type { LiveBoard } from '../runs/live-board';
import type { RunRegister } from '../runs/run-register';
import { expectsUpdate, parseTaskId } from '../runs/stage';
import { openTaskOf, type SiteTask } from '../runs/tasks';
import type { Traffic } from '../runs/traffic';
import type { ObjectStore } from '../storage/object-store';
import type { Dispatcher } from './dispatcher';
import { downloadChunks } from './downloads';
import type { PromotionDesk } from './promotion-desk';
import { statisticsOf } from './received-statistics';
import type { SiteConnection, SiteHub } from './site-hub';
import {
  checkHeartbeat,
  checkProtocol,
  evaluationFaults,
  MAX_SOFTWARE,
  MAX_WAITING,
  resultFaults,
  unread,
} from './site-message-rules';
import type { Uploads } from './uploads';

/** What a site calls. The caller's identity comes from its certificate; a site reaches only its own open tasks. */
export interface FederationServiceOptions {
  readonly runs: RunRegister;
  readonly hub: SiteHub;
  readonly dispatcher: Dispatcher;
  readonly uploads: Uploads;
  readonly promotions: PromotionDesk;
  readonly store: ObjectStore;
  readonly board: LiveBoard;
  readonly traffic: Traffic;
  readonly software: string;
  readonly heartbeatMillis: number;
  readonly onProgress: (run: string) => void;
  readonly renew: (site: SiteIdentity, csr: Uint8Array) => Promise<{ chainPem: string; rootsPem: string }>;
}

type Handlers = ServiceHandlers<typeof Federation, SiteIdentity>;

export function federationService(options: FederationServiceOptions): Handlers {
  const { runs, hub, dispatcher, uploads, store, traffic } = options;

  const namedTask = (site: string, id: string): SiteTask => {
    const address = parseTaskId(id);
    if (address.site !== site) throw new ClaraError('permission-denied', `task ${id} is not a task of ${site}`);
    const task = runs.has(address.run) ? openTaskOf(runs.get(address.run).state, site) : undefined;
    if (task?.id !== id) throw new ClaraError('precondition-failed', `task ${id} is not open any more; forget it`);
    return task;
  };

  const uploadTask = (site: string, id: string): SiteTask => {
    const task = namedTask(site, id);
    if (!expectsUpdate(task.stage))
      throw new ClaraError('invalid-input', `task ${id} asks for an evaluation, not for an update`);
    return task;
  };

  /** A model that breaks a rule breaks it again however often it is sent; damage on the way does not. */
  const judged = async <T>(task: SiteTask, receive: () => Promise<T>): Promise<T> => {
    try {
      return await receive();
    } catch (error) {
      if (hasCode(error, 'invalid-input') && error.faults.length > 0) {
        const { run, stage, site } = task;
        await runs.get(run).dispatch({ kind: 'reject-update', stage, site, reason: error.message });
      }
      throw error;
    }
  };

  const greet = (site: string, { message }: SiteMessage, call: Parameters<Handlers['connect']>[2]): SiteConnection => {
    if (message.case !== 'hello') throw new ClaraError('invalid-input', 'the first message of a site must be hello');
    checkProtocol(message.value);
    const stream = {
      // To a site that does not read, nothing more is told: its connection ends with its next message, or by its silence.
      write: (outgoing: CoordinatorMessage) => {
        if (call.writableLength < MAX_WAITING) call.write(outgoing);
      },
      end: () => call.end(),
    };
    const connection = hub.attach(site, message.value.software.slice(0, MAX_SOFTWARE), stream);
    const { software, heartbeatMillis } = options;
    connection.send({ case: 'welcome', value: create(WelcomeSchema, { software, heartbeatMillis }) });
    return connection;
  };

  return {
    async connect(messages, { caller }, call) {
      let connection: SiteConnection | undefined;
      try {
        for await (const message of messages) {
          if (!connection) {
            connection = greet(caller.id, message, call);
            for (const { state } of runs.all()) dispatcher.siteConnected(connection, state);
            options.promotions.siteConnected(connection);
          } else {
            if (call.writableLength >= MAX_WAITING) throw unread(caller.id);
            hub.heard(connection);
            await onSiteMessage(options, connection, message);
          }
        }
      } finally {
        if (connection) hub.detach(connection);
      }
    },

    async *download({ object, offset }, { caller }) {
      const found = runs
        .all()
        .flatMap(({ state }) => openTaskOf(state, caller.id) ?? [])
        .flatMap((task) => task.models.map((model) => ({ task, model })))
        .find(({ model }) => model.key === object);
      const offered = found ? undefined : options.promotions.offered(caller.id, object);
      if (offered) {
        yield* downloadChunks(store, { ...offered, offset: Number(offset) });
        return;
      }
      if (!found)
        throw new ClaraError(
          'permission-denied',
          `no open task of ${caller.id} refers to ${JSON.stringify(object.slice(0, 200))}`,
        );
      const { key, digest } = found.model;
      const ended = traffic.transferring(found.task.run);
      try {
        for await (const chunk of downloadChunks(store, { key, digest, offset: Number(offset) })) {
          yield chunk;
          traffic.toSite(found.task.run, caller.id, chunk.data.length);
        }
      } finally {
        ended();
      }
    },

    async uploadStatus({ task: id, size, sha256 }, { caller }) {
      const task = uploadTask(caller.id, id);
      const announcement = { size: Number(size), sha256: Buffer.from(sha256).toString('hex') };
      const durable = await judged(task, () => uploads.status(task, announcement));
      return { durableBytes: BigInt(durable) };
    },

    async upload(chunks: AsyncIterable<WireChunk>, { caller, metadata }) {
      const task = uploadTask(caller.id, String(metadata.get(TASK_METADATA)[0] ?? ''));
      const ended = traffic.transferring(task.run);
      const { digest, bytes } = await judged(task, () => uploads.receive(task, chunks)).finally(ended);
      return { size: BigInt(bytes), sha256: Buffer.from(digest.slice('sha256:'.length), 'hex') };
    },

    async renew({ csrDer }, { caller }) {
      return options.renew(caller, csrDer);
    },

    async probe() {
      return { software: options.software, protocol: PROTOCOL, unixMillis: BigInt(Date.now()) };
    },
  };
}

async function onSiteMessage(
  options: FederationServiceOptions,
  connection: SiteConnection,
  message: SiteMessage,
): Promise<void> {
  const { runs, board } = options;
  const { site } = connection;
  switch (message.message.case) {
    case 'heartbeat':
      checkHeartbeat(site, message.message.value);
      connection.send({ case: 'heartbeatHeard', value: create(HeartbeatHeardSchema) });
      for (const progress of message.message.value.progress) {
        const { run, stage } = parseTaskId(progress.task);
        if (!runs.has(run) || !awaits(runs.get(run).state, stage, site)) {
          connection.send({
            case: 'taskCancelled',
            value: create(TaskCancelledSchema, { task: progress.task, reason: 'the task is not open any more' }),
          });
        } else if (board.report(site, progress)) options.onProgress(run);
      }
      return;
    case 'proposalAnswer': {
      const { run, approved, reason } = message.message.value;
      if (!runs.has(run)) return;
      await runs
        .get(run)
        .dispatch(approved ? { kind: 'approve', site } : { kind: 'refuse', site, reason: reason.slice(0, 2000) });
      return;
    }
    case 'proposalPending': {
      const { run } = message.message.value;
      const state = runs.has(run) ? runs.get(run).state : undefined;
      if (!state?.candidates.includes(site) || state.outcome || state.answers.has(site)) return;
      board.personAsked(run, site);
      options.onProgress(run);
      return;
    }
    case 'taskResult':
      await onTaskResult(options, connection, message.message.value);
      return;
    case 'promotionStatus':
      await options.promotions.told(site, message.message.value);
      return;
    case 'hello':
      throw new ClaraError('invalid-input', 'hello may be said once only');
    case undefined:
      return; // A kind of message that a newer site knows.
  }
}

async function onTaskResult(
  options: FederationServiceOptions,
  connection: SiteConnection,
  result: TaskResult,
): Promise<void> {
  const { runs, uploads } = options;
  const { run, site } = parseTaskId(result.task);
  if (site !== connection.site)
    throw new ClaraError('permission-denied', `task ${result.task} is not a task of ${connection.site}`);
  // A result that comes too late is settled all the same: the site has nothing left to do for it.
  const open = runs.has(run) ? openTaskOf(runs.get(run).state, site) : undefined;
  const task = open?.id === result.task ? open : undefined;
  const happened = task && (await runs.get(run).dispatch(commandOf(options, task, result)));
  uploads.forget(result.task);
  // Of what happened, the dispatcher has told the site already.
  if (!happened) connection.send({ case: 'taskSettled', value: create(TaskSettledSchema, { task: result.task }) });
}

function commandOf({ uploads }: FederationServiceOptions, task: SiteTask, result: TaskResult): Command {
  const { stage, site } = task;
  const { outcome } = result;
  if (outcome.case === 'failed') {
    return { kind: 'lose-site', stage, site, reason: outcome.value.message.slice(0, 2000) || outcome.value.code };
  }
  if (outcome.case !== 'done')
    throw new ClaraError('invalid-input', `the result of task ${result.task} has no outcome`);
  const done = outcome.value;
  const faults = [...resultFaults(done), ...evaluationFaults(done, task)];
  if (faults.length > 0)
    return { kind: 'reject-update', stage, site, reason: `the result is refused: ${faults.join('; ')}` };
  const samples = Number(done.samples);
  const peakRssBytes = Number(done.peakRssBytes);
  if (stage.kind === 'statistics') {
    const told = statisticsOf(done.statisticsJson, task);
    if (!told.success)
      return { kind: 'reject-update', stage, site, reason: `the statistics are refused: ${told.reason}` };
    return {
      kind: 'report-statistics',
      ...{ stage, site, result: { kind: 'statistics', statistics: told.statistics, peakRssBytes } },
    };
  }
  if (!expectsUpdate(stage)) {
    const evaluations = done.evaluations.map(({ model, metrics }) => ({ model, metrics }));
    return {
      kind: 'report-evaluation',
      stage,
      site,
      result: { kind: 'evaluation', samples, evaluations, peakRssBytes },
    };
  }
  const receipt = uploads.receiptOf(result.task);
  if (!receipt || receipt.digest !== `sha256:${Buffer.from(done.updateSha256).toString('hex')}`) {
    throw new ClaraError(
      'precondition-failed',
      `the update of task ${result.task} has not been received; upload it first`,
    );
  }
  const { stored, ...sent } = receipt;
  const object = stored ? { ...stored, sent } : sent;
  const { metrics, warnings, seconds } = done;
  const facts = { samples, steps: Number(done.steps), metrics, warnings, seconds: Math.max(seconds, 0), peakRssBytes };
  return { kind: 'accept-update', stage, site, result: { kind: 'update', ...object, ...facts } };
}
