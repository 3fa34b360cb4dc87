import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ClaraError } from './errors';

/**
 * What a service tells over plain HTTP, to its own machine unless told otherwise: `GET /metrics` for Prometheus and whatever
 * speaks its text format, `GET /health` for whoever restarts what is broken.
 */
export interface MetricsListener {
  /** `host:port`. */
  readonly address: string;
  close(): Promise<void>;
}

export interface MetricsSource {
  readonly contentType: string;
  metrics(): Promise<string>;
}

/** Answer of `GET /health`, with status 200 or 503. */
export interface ServiceHealth {
  /** `failing` means that another process would do better: a service that waits for somebody else is `ok`. */
  readonly status: 'ok' | 'failing';
  /** One sentence for people. */
  readonly detail: string;
}

export interface MetricsAddress {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

/** What `--metrics` without an address means: this machine only, since the figures are told to whoever asks. */
export const DEFAULT_METRICS_ADDRESS = '127.0.0.1:9464';

const MAX_CONNECTIONS = 16;
const REQUEST_MILLIS = 10_000;

/**
 * @param health asked at each `GET /health`. @default a process that answers is well
 * @throws ClaraError `unavailable` when the address is taken
 */
export async function startMetricsListener(
  { host, port }: MetricsAddress,
  source: MetricsSource,
  health: () => ServiceHealth = () => ({ status: 'ok', detail: 'The process answers.' }),
): Promise<MetricsListener> {
  const server = createServer(
    { headersTimeout: REQUEST_MILLIS, requestTimeout: REQUEST_MILLIS },
    (request, response) => {
      const say = (status: number, text: string, headers = {}): void => {
        response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', ...headers });
        response.end(request.method === 'HEAD' ? undefined : text);
      };
      const path = request.url?.split('?')[0];
      if (path !== '/metrics' && path !== '/health') say(404, 'figures are at /metrics, health at /health\n');
      else if (request.method !== 'GET' && request.method !== 'HEAD') say(405, 'read only\n', { Allow: 'GET, HEAD' });
      else if (path === '/health') {
        const found = health();
        const type = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };
        say(found.status === 'ok' ? 200 : 503, JSON.stringify(found), type);
      } else {
        source.metrics().then(
          (text) => say(200, text, { 'Content-Type': source.contentType }),
          () => say(500, 'the figures cannot be read now\n'),
        );
      }
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const message = `the figures cannot be served on ${host}:${port}: ${error.message}; choose another --metrics address`;
      reject(new ClaraError('unavailable', message, { cause: error }));
    });
    server.listen(port, host, resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    address: `${host.includes(':') ? `[${host}]` : host}:${bound.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
