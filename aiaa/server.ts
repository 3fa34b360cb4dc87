import { mkdir } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import pino, { type Logger } from 'pino';
import { ClaraError } from '../base/errors';
import { createApp } from './http/app';
import { errorBody, errorReply } from './http/error-reply';
import { parsePrefix } from './http/request-path';
import { HealthCheck } from './inference/health-check';
import { InferenceService } from './inference/inference-service';
import { type AnnotationLimits, DEFAULT_LIMITS } from './limits';
import { SessionStore } from './sessions/session-store';
import { Scratch } from './storage/scratch';

export interface AnnotationServerOptions {
  /** Folder with models, sessions and short-lived files; made when missing. May be shared by several servers. */
  readonly workspace: string;
  /** Address to listen on. @default '127.0.0.1', so that opening it to a network is a decision */
  readonly host?: string;
  /** @default 0, a free port */
  readonly port?: number;
  /** Secret path before all others, such as `/hospital-a/4f1c...`; only /health is answered outside. @default none */
  readonly pathPrefix?: string;
  /** Origins of web pages that may call this server, such as `https://viewer.example.org`. @default none */
  readonly corsOrigins?: readonly string[];
  readonly limits?: Partial<AnnotationLimits>;
  /** Path without extension of the module that exports the `engines`. @default those that the server comes with */
  readonly engineModule?: string;
  /** @default a logger that is silent */
  readonly log?: Logger;
  /** Seconds since 1970, for the expiry of sessions. @default the system's clock */
  readonly now?: () => number;
}

export interface AnnotationServer {
  /** What a user enters in the client: with scheme, port and prefix, ending in a slash. */
  readonly url: string;
  readonly port: number;
  /** Stops listening, cuts what is still running, ends the inference process and removes all short-lived files. */
  close(): Promise<void>;
}

const HEADERS_MS = 60_000;

/**
 * Starts the annotation server.
 *
 * @throws ClaraError `invalid-input` for a bad prefix; `unavailable` when the port is taken; `permission-denied`
 */
export async function startAnnotationServer(options: AnnotationServerOptions): Promise<AnnotationServer> {
  const prefix = parsePrefix(options.pathPrefix ?? '');
  const limits: AnnotationLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const workspace = path.resolve(options.workspace);
  const log = options.log ?? pino({ level: 'silent' });
  const host = options.host ?? '127.0.0.1';

  const scratch = await openWorkspace(workspace);
  const sessions = new SessionStore(workspace, {
    maxExpirySeconds: limits.sessionSeconds,
    maxSessions: limits.sessions,
    maxBytes: limits.sessionBytes,
    now: options.now,
  });
  await sessions.sweep();
  const inference = new InferenceService({
    ...limits,
    engineModule: options.engineModule ?? path.join(__dirname, 'inference', 'engines'),
    onStderr: (text) => log.debug({ text }, 'inference process'),
  });
  const health = new HealthCheck(inference, { ...limits, workspace });
  const corsOrigins = options.corsOrigins ?? [];
  const requests = new OpenRequests();
  const app = createApp({ workspace, limits, sessions, scratch, inference, health, log, prefix, corsOrigins });
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
    sessions.sweep().catch((error) => log.error({ err: error }, 'sweeping sessions failed'));
  }, limits.sweepMs);
  const close = async () => {
    clearInterval(sweeper);
    const stopped = server.listening ? new Promise((resolve) => server.close(resolve)) : undefined;
    server.closeAllConnections();
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
  const url = `http://${showHost(host)}:${port}/${prefix.map((segment) => `${segment}/`).join('')}`;
  log.info({ host, port }, 'annotation server listens');
  let closing: Promise<void> | undefined;
  return {
    url,
    port,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

async function openWorkspace(workspace: string): Promise<Scratch> {
  try {
    await mkdir(workspace, { recursive: true });
    return await Scratch.open(path.join(workspace, 'scratch'));
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
