import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ClaraError } from './errors';

/** Where a service's figures are read: `GET /metrics` over plain HTTP, for Prometheus and whatever speaks its text format. */
export interface MetricsListener {
  /** `host:port`. */
  readonly address: string;
  close(): Promise<void>;
}

export interface MetricsSource {
  readonly contentType: string;
  metrics(): Promise<string>;
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

/** @throws ClaraError `unavailable` when the address is taken */
export async function startMetricsListener(
  { host, port }: MetricsAddress,
  source: MetricsSource,
): Promise<MetricsListener> {
  const server = createServer(
    { headersTimeout: REQUEST_MILLIS, requestTimeout: REQUEST_MILLIS },
    (request, response) => {
      const say = (status: number, text: string, headers = {}): void => {
        response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', ...headers });
        response.end(request.method === 'HEAD' ? undefined : text);
      };
      if (request.url?.split('?')[0] !== '/metrics') say(404, 'figures are at /metrics\n');
      else if (request.method !== 'GET' && request.method !== 'HEAD') say(405, 'read only\n', { Allow: 'GET, HEAD' });
      else {
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
