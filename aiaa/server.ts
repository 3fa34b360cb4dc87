import { mkdir } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { getRequestListener } from '@hono/node-server';
import type { DestinationStream, Level, Logger } from 'pino';
import { ClaraError } from '../base/errors';
import type { ProgramStart } from '../base/own-program';
import { FineTuning } from './finetune/fine-tuning';
import { createApp } from './http/app';
import { parseOrigins } from './http/cross-origin';
import { errorBody, errorReply } from './http/error-reply';
import { OperatorAccess, type OperatorAccessOptions } from './http/operator-access';
import { parsePrefix } from './http/request-path';
import { Traffic } from './http/traffic';
import { HealthCheck } from './inference/health-check';
import { InferenceService } from './inference/inference-service';
import { type AnnotationLimits, DEFAULT_LIMITS } from './limits';
import { Assessor, assessorsOf } from './monai-label/assessor';
import { Datastore } from './monai-label/datastore';
import { AnnotationMetrics } from './observe/annotation-metrics';
import { RecentLog } from './observe/recent-log';
import { serverLog } from './observe/server-log';
import { NGC_URL } from './registry/intake/ngc';
import { SessionStore } from './sessions/session-store';
import { Scratch } from './storage/scratch';

export interface AnnotationServerOptions {
  /** Folder with models, sessions and short-lived files; made when missing. May be shared by several servers. */
  readonly workspace: string;
  /** Address to listen on. @default '127.0.0.1', so that opening it to a network is a decision */
  readonly host?: string;
  /** @default 0, a free port */
  readonly port?: number;
  /**
   * Secret paths before all others, such as `/hospital-a/4f1c...`, of which clients need one. Outside, only /health and, for
   * operators, /admin, /logs and /metrics are answered. @default none
   */
  readonly pathPrefix?: string | readonly string[];
  /** Origins of web pages that may call this server, such as `https://viewer.example.org`; `*` for all. @default none */
  readonly corsOrigins?: readonly string[];
  /** Who may administer, read logs and figures. @default this machine alone */
  readonly operators?: OperatorAccessOptions;
  /** Where models of NVIDIA GPU Cloud are fetched from when an administrator asks for one. @default NVIDIA's address */
  readonly ngcUrl?: string;
  /** A program after the trainer contract that models are fine-tuned with. @default none: nothing is fine-tuned */
  readonly trainer?: ProgramStart;
  readonly limits?: Partial<AnnotationLimits>;
  /** Path without extension of the module that exports the `engines`. @default those that the server comes with */
  readonly engineModule?: string;
  /** Where log lines go, beside the memory that `/logs/` tells from. @default nowhere */
  readonly logTo?: DestinationStream;
  /** @default 'info' */
  readonly logLevel?: Level;
  /** Seconds since 1970, for the expiry of sessions. @default the system's clock */
  readonly now?: () => number;
}

export interface AnnotationServer {
  /** What a user enters in the client: with scheme, port and prefix, ending in a slash. */
  readonly url: string;
  readonly port: number;
  readonly metrics: AnnotationMetrics;
  /** Process numbers of the inference processes. */
  readonly workers: readonly number[];
  /**
   * Stops listening, finishes what it has begun, cuts what is not finished in `limits.drainMs`, ends the inference processes and removes all
   * short-lived files.
   */
  close(): Promise<void>;
}

const HEADERS_MS = 60_000;
/** At the end, connections that have become idle are looked for this often. */
const IDLE_CHECK_MS = 20;
/** At the end, answers have this long to reach the network. */
const FLUSH_MS = 1000;

/**
 * Starts the annotation server.
 *
 * @throws ClaraError `invalid-input` for a bad prefix; `unavailable` when the port is taken; `permission-denied`
 */
export async function startAnnotationServer(options: AnnotationServerOptions): Promise<AnnotationServer> {
  const prefixes = [options.pathPrefix ?? []].flat().map(parsePrefix);
  const corsOrigins = parseOrigins(options.corsOrigins ?? []);
  const operators = new OperatorAccess(options.operators);
  const limits: AnnotationLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const workspace = path.resolve(options.workspace);
  const recentLog = new RecentLog(limits.logLines);
  const log = serverLog(recentLog, { destination: options.logTo, level: options.logLevel, workspace });
  const metrics = new AnnotationMetrics();
  const host = options.host ?? '127.0.0.1';

  const scratch = await openWorkspace(workspace, log);
  const sessions = new SessionStore(workspace, {
    maxExpirySeconds: limits.sessionSeconds,
    maxSessions: limits.sessions,
    maxBytes: limits.sessionBytes,
    now: options.now,
    onUnreadable: (error) => log.error({ err: error }, 'a session can be neither read nor removed'),
  });
  const datastore = new Datastore(workspace, {
    maxImages: limits.datastoreImages,
    maxBytes: limits.datastoreBytes,
    now: options.now,
    onDamaged: (error, what) =>
      log.error({ err: error }, `${what === 'image' ? 'an image' : 'a label'} of the datastore is left out`),
  });
  const sweepDatastore = async () => datastore.sweep(await assessorsOf(workspace));
  const sweep = () => Promise.all([sessions.sweep(), sweepDatastore(), scratch.sweep()]);
  await sweep();
  const inference = new InferenceService({
    ...limits,
    observer: metrics,
    engineModule: options.engineModule ?? path.join(__dirname, 'inference', 'engines'),
    onStderr: (text) => log.debug({ text }, 'inference process'),
  });
  const health = new HealthCheck(inference, { ...limits, workspace });
  metrics.watchLoad(inference);
  metrics.watchDatastore(datastore);
  const fineTuning = new FineTuning({
    ...{ workspace, scratch, log, trainer: options.trainer },
    ...{ fineTuneMs: limits.fineTuneMs, graceMs: limits.trainerGraceMs },
    inspect: (name) => (source, signal) => inference.inspect(name, source, signal ?? new AbortController().signal),
  });
  const assessor = new Assessor({ datastore, inference, log, assessWaitMs: limits.assessWaitMs });
  const requests = new OpenRequests();
  let closing: Promise<void> | undefined;
  const app = createApp({
    datastore,
    assessor,
    ...{
      workspace,
      limits,
      sessions,
      scratch,
      inference,
      health,
      log,
      recentLog,
      metrics,
      operators,
      ngcUrl: options.ngcUrl ?? NGC_URL,
      fineTuning,
      prefixes,
      corsOrigins,
    },
    traffic: new Traffic(metrics),
    isClosing: () => closing !== undefined,
  });
  const answer = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    autoCleanupIncoming: false, // the app reads every body to its end itself, and knows when not to
    hostname: host, // HTTP/1.0 clients may send no Host
    errorHandler: (thrown) =>
      errorReply(new ClaraError('invalid-input', `The request is malformed: ${messageOf(thrown)}.`)),
  });
  const server = createServer((incoming, outgoing) => requests.track(answer(incoming, outgoing)));
  server.headersTimeout = HEADERS_MS;
  server.requestTimeout = limits.requestMs;
  server.keepAliveTimeout = limits.keepAliveMs;
  server.on('clientError', refuseMalformed);

  const sweeper = setInterval(() => {
    sweep().catch((error) => log.error({ err: error }, 'sweeping failed'));
  }, limits.sweepMs);
  const close = async () => {
    clearInterval(sweeper);
    health.fail('The server is shutting down.');
    const stopped = server.listening ? new Promise((resolve) => server.close(resolve)) : undefined;
    await drain(server, requests, limits.drainMs, stopped);
    server.closeAllConnections();
    await fineTuning.close();
    await assessor.close();
    await inference.close();
    await requests.settled();
    await stopped;
    await scratch.close();
  };
  try {
    await listen(server, host, options.port ?? 0);
  } catch (error) {
    await close();
    throw ClaraError.from(error, `listening on ${host}:${options.port ?? 0}`);
  }
  const { port } = server.address() as AddressInfo;
  const url = `http://${showHost(host)}:${port}/${(prefixes[0] ?? []).map((segment) => `${segment}/`).join('')}`;
  log.info({ host, port }, 'annotation server listens');
  return {
    url,
    port,
    metrics,
    get workers() {
      return inference.workers;
    },
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

async function openWorkspace(workspace: string, log: Logger): Promise<Scratch> {
  try {
    await mkdir(workspace, { recursive: true });
    return await Scratch.open(path.join(workspace, 'scratch'), {
      onStuck: ({ pid }) =>
        log.error({ pid }, 'a process of a killed server does not end by SIGKILL; its folder stays until it is gone'),
    });
  } catch (error) {
    throw ClaraError.from(error, `opening the workspace ${workspace}`);
  }
}

/** Requests whose work, removal of their files included, has not ended. */
class OpenRequests {
  private readonly open = new Set<Promise<unknown>>();

  track(work: Promise<unknown>): void {
    const tracked = work.catch(() => {}).finally(() => this.open.delete(tracked));
    this.open.add(tracked);
  }

  async settled(): Promise<void> {
    await Promise.all(this.open);
  }
}

/** Waits for the answers that are being made, and closes connections as they fall idle: clients keep them open for minutes. */
async function drain(
  server: Server,
  requests: OpenRequests,
  timeoutMs: number,
  stopped: Promise<unknown> | undefined,
): Promise<void> {
  const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
  const waited = new AbortController();
  const deadline = delay(timeoutMs, undefined, { signal: waited.signal }).catch(() => {});
  await Promise.race([requests.settled(), deadline]);
  // What has been answered may still be on its way to the network; a connection that never asked anything is not waited for.
  const flushed = delay(FLUSH_MS, undefined, { signal: waited.signal }).catch(() => {});
  await Promise.race([stopped, deadline, flushed]);
  waited.abort();
  clearInterval(idle);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** What cannot even be parsed as HTTP is answered in JSON too. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, why] = MALFORMED[error.code ?? ''] ?? ['400 Bad Request', 'The request is not HTTP.'];
  const body = errorBody('invalid-input', why);
  const length = Buffer.byteLength(body);
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${body}`,
  );
}

const MALFORMED: Readonly<Record<string, readonly [status: string, why: string]>> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'The headers of the request are too large.'],
  ERR_HTTP_REQUEST_TIMEOUT: [
    '408 Request Timeout',
    'The request took too long to arrive; try a faster connection or a smaller volume.',
  ],
};

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** An address that a browser on this machine can open; IPv6 needs brackets in a URL (RFC 3986, section 3.2.2). */
function showHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}
