import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import type { AnnotationMetrics } from '../observe/annotation-metrics';

/** Routes of which no line is told while they are answered well. */
const FREQUENT = ['/health', '/health/live', '/health/ready', '/metrics', '/logs'];
/** Programs ask again and again: the same answer to the same question is told once in so long, and how often it was given since. */
const REPEATED_MS = 60_000;
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

/** One count for each request when its connection is done with it, and a log line, but for the repeated ones of those that poll. */
export class Traffic {
  /** Of GET requests, by route and status: when a line was told, and requests since. */
  private readonly told = new Map<string, { at: number; since: number }>();
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
      const quiet = FREQUENT.includes(endpoint) && status === 200;
      const repeated = quiet || method !== 'GET' ? undefined : this.repetition(`${status} ${endpoint}`);
      const line = { method, route: endpoint, status, ms: Math.round(seconds * 1000), left: left() };
      const level = quiet || repeated === 'again' ? 'debug' : 'info';
      log[level]({ ...line, ...(Number(repeated) > 0 && { repeated }) }, 'request');
    });
  }

  /** How many times it was answered since its last line, or that it is too early for another one. */
  private repetition(answer: string): number | 'again' {
    const now = performance.now();
    const told = this.told.get(answer);
    if (told !== undefined && now - told.at < REPEATED_MS) {
      told.since += 1;
      return 'again';
    }
    this.told.set(answer, { at: now, since: 0 });
    return told?.since ?? 0;
  }

  private bytesOf(socket: Socket): { readonly received: number; readonly sent: number } {
    const { bytesRead: read, bytesWritten: written } = socket;
    const before = this.counted.get(socket) ?? { read: 0, written: 0 };
    this.counted.set(socket, { read, written });
    return { received: read - before.read, sent: written - before.written };
  }
}
