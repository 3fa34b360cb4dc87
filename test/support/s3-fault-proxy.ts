import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What happens to one request to S3. */
export type S3Mishap =
  /** S3 answers with an error and does nothing. */
  | { readonly kind: 'answer'; readonly status: number; readonly code: string }
  /** The request never reaches S3. */
  | { readonly kind: 'lost-request' }
  /** S3 does what it was asked for, and its answer is lost. */
  | { readonly kind: 'lost-answer' }
  /** One byte of what is sent is changed on the way. */
  | { readonly kind: 'damaged-request' }
  | { readonly kind: 'damaged-answer' }
  /** So many bytes of the answer arrive, then the connection ends, or nothing comes any more. */
  | { readonly kind: 'cut-answer' | 'stalled-answer'; readonly afterBytes: number }
  /** The answer comes in small pieces. */
  | { readonly kind: 'slow-answer' };

export interface Arrangement {
  readonly method?: string;
  /** Part of the path with its query. */
  readonly path?: string;
  /** Name of a header that it has. */
  readonly header?: string;
  readonly mishap: S3Mishap;
  /** To how many requests it happens. @default 1 */
  readonly times?: number;
  /** Done before it happens. */
  readonly meanwhile?: () => Promise<unknown>;
}

/** An HTTP proxy in front of an S3 server, which can have accidents. */
export class S3FaultProxy {
  readonly #server: Server;
  readonly #arranged: (Arrangement & { left: number })[] = [];
  readonly requests: { readonly method: string; readonly path: string; readonly range: string | undefined }[] = [];

  private constructor(private readonly target: number) {
    this.#server = createServer((incoming, outgoing) => {
      this.#serve(incoming, outgoing).catch(() => outgoing.destroy());
    });
  }

  static async start(target: number): Promise<S3FaultProxy> {
    const proxy = new S3FaultProxy(target);
    // A connection that ends because it was idle is an attempt that nobody has arranged.
    proxy.#server.keepAliveTimeout = 0;
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  arrange(arrangement: Arrangement): void {
    this.#arranged.push({ ...arrangement, left: arrangement.times ?? 1 });
  }

  /** True when everything that was arranged has happened. */
  get isOver(): boolean {
    return this.#arranged.every(({ left }) => left === 0);
  }

  reset(): void {
    this.#arranged.length = 0;
    this.requests.length = 0;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = '', url = '' } = incoming;
    this.requests.push({ method, path: url, range: incoming.headers.range });
    const arranged = this.#arranged.find(
      (each) =>
        each.left > 0 &&
        (each.method ?? method) === method &&
        url.includes(each.path ?? '') &&
        (each.header === undefined || each.header in incoming.headers),
    );
    if (arranged) arranged.left--;
    await arranged?.meanwhile?.();
    const mishap = arranged?.mishap;
    const body = Buffer.concat(await incoming.toArray());
    if (mishap?.kind === 'lost-request') return void outgoing.destroy();
    if (mishap?.kind === 'answer') return answer(outgoing, mishap.status, mishap.code);
    if (mishap?.kind === 'damaged-request') damage(body);
    const { expect: _, ...headers } = incoming.headers;
    const forward = request({ host: '127.0.0.1', port: this.target, method, path: url, headers, agent: false });
    forward.end(body);
    const [reply] = (await once(forward, 'response')) as [IncomingMessage];
    const bytes = Buffer.concat(await reply.toArray());
    if (mishap?.kind === 'lost-answer') return void outgoing.destroy();
    if (mishap?.kind === 'damaged-answer') damage(bytes);
    outgoing.writeHead(reply.statusCode!, reply.rawHeaders);
    if (mishap?.kind === 'cut-answer' || mishap?.kind === 'stalled-answer') {
      await new Promise((written) => outgoing.write(bytes.subarray(0, mishap.afterBytes), written));
      if (mishap.kind === 'cut-answer') outgoing.destroy();
      return;
    }
    if (mishap?.kind === 'slow-answer') {
      for (let at = 0; at < bytes.length; at += 10_000) {
        await new Promise((written) => outgoing.write(bytes.subarray(at, at + 10_000), written));
      }
      outgoing.end();
      return;
    }
    outgoing.end(bytes);
  }
}

function answer(outgoing: ServerResponse, status: number, code: string): void {
  if (status === 200) {
    outgoing.writeHead(200, { etag: '"0123"' }).end();
    return;
  }
  const xml = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>arranged</Message></Error>`;
  outgoing.writeHead(status, { 'content-type': 'application/xml' }).end(xml);
}

function damage(bytes: Buffer): void {
  if (bytes.length > 0) bytes[Math.floor(bytes.length / 2)]! ^= 0x20;
}
