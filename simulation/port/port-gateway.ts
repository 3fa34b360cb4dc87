import type { MessagePort } from 'node:worker_threads';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Metadata } from '@grpc/grpc-js';
import { ClaraError } from '../../base/errors';
import type { WireChunk } from '../../federation/chunk-codec';
import {
  type CoordinatorMessage,
  CoordinatorMessageSchema,
  DownloadRequestSchema,
  type Federation,
  ReceiptSchema,
  type SiteMessage,
  SiteMessageSchema,
  UploadStatusReplySchema,
  UploadStatusRequestSchema,
} from '../../federation/gen/federation/v1/federation_pb';
import type { SiteIdentity } from '../../federation/identity';
import { TASK_METADATA } from '../../federation/protocol';
import type { CallContext, ServiceHandlers } from '../../federation/service-handlers';
import { ChunkMemory, received } from './chunk-memory';
import { Inbox } from './inbox';
import { type FromSites, type ToSites, toPortError } from './messages';

type Handlers = ServiceHandlers<typeof Federation, SiteIdentity>;
type Opening = Extract<FromSites, { kind: 'open' }>;
type Incoming = Exclude<FromSites, { kind: 'open' | 'cancel' }>;
type Post = (message: ToSites, memory?: ArrayBuffer[]) => void;

export interface PortGatewayOptions {
  readonly handlers: Handlers;
  /** Who calls: in a process there is no certificate to tell it. @throws ClaraError for an unknown site */
  readonly callerOf: (site: string) => SiteIdentity;
  readonly onFailure: (thrown: unknown, method: string) => void;
}

/** The coordinator's end of the port: hands what sites call to the handlers that serve gRPC, one call after it was opened. */
export class PortGateway {
  readonly #calls = new Map<number, { readonly inbox: Inbox<Incoming>; readonly abort: AbortController }>();

  constructor(
    private readonly port: MessagePort,
    private readonly options: PortGatewayOptions,
  ) {
    port.on('message', (message: FromSites) => this.#hear(message));
  }

  /** Ends every call. */
  close(): void {
    for (const { inbox, abort } of this.#calls.values()) {
      abort.abort();
      inbox.end();
    }
    this.port.close();
  }

  #hear(message: FromSites): void {
    if (message.kind === 'open') {
      void this.#serve(message);
      return;
    }
    const open = this.#calls.get(message.call);
    if (message.kind !== 'cancel') open?.inbox.put(message);
    else if (open) {
      open.abort.abort();
      open.inbox.fail(new ClaraError('cancelled', 'the client has gone'));
    }
  }

  async #serve(opening: Opening): Promise<void> {
    const { call, site, method } = opening;
    const inbox = new Inbox<Incoming>();
    const abort = new AbortController();
    this.#calls.set(call, { inbox, abort });
    const post: Post = (message, memory = []) => this.port.postMessage(message, memory);
    try {
      const metadata = new Metadata();
      if (typeof opening.request === 'string') metadata.set(TASK_METADATA, opening.request);
      const caller = this.options.callerOf(site);
      const context: CallContext<SiteIdentity> = { caller, signal: abort.signal, metadata, peer: site };
      const bytes = await answer(this.options.handlers, opening, context, inbox, post);
      post({ kind: 'end', call, bytes });
    } catch (thrown) {
      if (!abort.signal.aborted) this.options.onFailure(thrown, method);
      post({ kind: 'failed', call, error: toPortError(thrown) });
    } finally {
      this.#calls.delete(call);
    }
  }
}

const NOTHING = new Uint8Array(0);
/** Of this thread, which is the coordinator's. */
const pool = new ChunkMemory();

/** @returns the message that ends the call well, in its wire encoding */
async function answer(
  handlers: Handlers,
  { call, method, request }: Opening,
  context: CallContext<SiteIdentity>,
  inbox: Inbox<Incoming>,
  post: Post,
): Promise<Uint8Array> {
  const bytes = typeof request === 'string' ? NOTHING : request;
  switch (method) {
    case 'connect':
      await handlers.connect(siteMessages(inbox), context, outgoing(call, inbox, post));
      return NOTHING;
    case 'download': {
      const chunks = handlers.download(fromBinary(DownloadRequestSchema, bytes), context);
      await giveChunks(call, chunks as AsyncIterable<WireChunk>, inbox, post);
      return NOTHING;
    }
    case 'uploadStatus': {
      const reply = await handlers.uploadStatus(fromBinary(UploadStatusRequestSchema, bytes), context);
      return toBinary(UploadStatusReplySchema, create(UploadStatusReplySchema, reply));
    }
    case 'upload':
      return toBinary(ReceiptSchema, create(ReceiptSchema, await handlers.upload(taken(call, inbox, post), context)));
  }
}

async function* siteMessages(inbox: Inbox<Incoming>): AsyncGenerator<SiteMessage> {
  for await (const incoming of inbox) {
    if (incoming.kind === 'message') yield fromBinary(SiteMessageSchema, incoming.bytes);
  }
}

/** What `connect` writes to. A port takes everything at once, so nothing ever waits in it. */
function outgoing(call: number, inbox: Inbox<Incoming>, post: Post): Parameters<Handlers['connect']>[2] {
  const stream = {
    writableLength: 0,
    write: (message: CoordinatorMessage) => {
      post({ kind: 'message', call, bytes: toBinary(CoordinatorMessageSchema, message) });
      return true;
    },
    end: () => inbox.end(),
  };
  return stream as unknown as Parameters<Handlers['connect']>[2];
}

async function giveChunks(
  call: number,
  chunks: AsyncIterable<WireChunk>,
  inbox: Inbox<Incoming>,
  post: Post,
): Promise<void> {
  for await (const given of chunks) {
    if (!(await wasAskedFor(inbox))) return;
    const { chunk, memory } = pool.handOver(given);
    post({ kind: 'chunk', call, chunk }, memory);
  }
  await wasAskedFor(inbox);
}

/** Waits for the request for a chunk. @returns false when none comes any more */
async function wasAskedFor(inbox: Inbox<Incoming>): Promise<boolean> {
  const incoming = await inbox.take();
  if (incoming?.kind !== 'next') return false;
  pool.takeBack(incoming.memory);
  return true;
}

/** Asks for each chunk of an upload. */
async function* taken(call: number, inbox: Inbox<Incoming>, post: Post): AsyncGenerator<WireChunk> {
  for (let memory: ArrayBuffer | undefined; ; ) {
    post({ kind: 'next', call, memory }, memory && [memory]);
    const incoming = await inbox.take();
    if (incoming?.kind !== 'chunk' || !incoming.chunk) return;
    memory = incoming.chunk.data.buffer as ArrayBuffer;
    yield received(incoming.chunk);
  }
}
