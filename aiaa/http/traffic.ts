import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import type { AnnotationMetrics } from '../observe/annotation-metrics';

/** Routes that are asked for so often that a line each would hide the others. */
const FREQUENT = ['/health', '/health/live', '/health/ready', '/metrics', '/logs'];
/** Asked for again and again while it runs; other methods of the address are not. */
const POLLED = '/admin/finetune/:model';
/** nginx' code for a client that left before it was answered; no reply carries it. */
const CLIENT_LEFT = 499;

/** What the router says of an address at which there is nothing. */
const EVERY_ROUTE = '/*';

export interface Watched {
  readonly log: Logger;
  /** Whether the client left before it had the whole answer. */
  readonly left: () => boolean;
  /** The route, not the address: that one carries session ids and the secret prefix. */
  readonly route: () => string;
}

/** One log line and one count for each request, when its connection is done with it. */
export class Traffic {
  /** Bytes of a connection that are counted already; several requests share one. */
  private readonly counted = new WeakMap<Socket, { read: number; written: number }>();

  constructor(private readonly metrics: AnnotationMetrics) {}

  watch(incoming: IncomingMessage, outgoing: ServerResponse, { log, left, route }: Watched): void {
    const { socket, method = '' } = incoming;
    const began = performance.now();
    outgoing.once('close', () => {
      const status = outgoing.headersSent ? outgoing.statusCode : CLIENT_LEFT;
      const seconds = (performance.now() - began) / 1000;
      const matched = route();
      const endpoint = matched === EVERY_ROUTE ? 'none' : matched;
      this.metrics.answered({ endpoint, method, status, seconds, ...this.bytesOf(socket) });
      const frequent = FREQUENT.includes(endpoint) || (endpoint === POLLED && method === 'GET');
      const level = frequent && status === 200 ? 'debug' : 'info';
      log[level]({ method, route: endpoint, status, ms: Math.round(seconds * 1000), left: left() }, 'request');
    });
  }

  private bytesOf(socket: Socket): { readonly received: number; readonly sent: number } {
    const { bytesRead: read, bytesWritten: written } = socket;
    const before = this.counted.get(socket) ?? { read: 0, written: 0 };
    this.counted.set(socket, { read, written });
    return { received: read - before.read, sent: written - before.written };
  }
}
