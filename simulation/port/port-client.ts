import type { MessagePort } from 'node:worker_threads';
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { ClaraError } from '../../base/errors';
import type { WireChunk } from '../../federation/chunk-codec';
import {
  CoordinatorMessageSchema,
  DownloadRequestSchema,
  ReceiptSchema,
  SiteMessageSchema,
  UploadStatusReplySchema,
  UploadStatusRequestSchema,
} from '../../federation/gen/federation/v1/federation_pb';
import type { CoordinatorClient } from '../../fl-site/coordinator-client';
import { ChunkMemory, received } from './chunk-memory';
import { Inbox } from './inbox';
import { type FromSites, fromPortError, type Method, type ToSites } from './messages';

type Answer = Exclude<ToSites, { kind: 'failed' }>;

/** The sites' end of the port: as many clients as there are sites in this thread. */
export class PortClients {
  readonly #calls = new Map<number, Inbox<Answer>>();
  readonly #memory = new ChunkMemory();
  #last = 0;

  constructor(private readonly port: MessagePort) {
    port.on('message', (message: ToSites) => {
      const inbox = this.#calls.get(message.call);
      if (message.kind === 'failed') inbox?.fail(fromPortError(message.error));
      else inbox?.put(message);
      if (message.kind === 'failed' || message.kind === 'end') this.#calls.delete(message.call);
    });
  }

  /** The coordinator, as that site calls it. */
  of(site: string): CoordinatorClient {
    let movedAt = 0;
    const moved = () => {
      movedAt = performance.now();
    };
    return {
      get movedAt() {
        return movedAt;
      },

      connect: (signal) => {
        const call = this.#open(site, 'connect', new Uint8Array(0), signal);
        return {
          send: (message) => {
            const bytes = toBinary(SiteMessageSchema, create(SiteMessageSchema, { message }));
            call.send({ kind: 'message', bytes });
          },
          messages: messagesOf(call),
        };
      },

      download: (object, offset, signal) => {
        const request = encode(DownloadRequestSchema, { object, offset: BigInt(offset) });
        return chunksOf(this.#open(site, 'download', request, signal), moved);
      },

      uploadStatus: async ({ task, size, sha256 }, signal) => {
        const request = { task, size: BigInt(size), sha256: Uint8Array.from(sha256) };
        const call = this.#open(site, 'uploadStatus', encode(UploadStatusRequestSchema, request), signal);
        const { durableBytes } = fromBinary(UploadStatusReplySchema, await replyOf(call));
        return Number(durableBytes);
      },

      upload: async (task, chunks, signal) => {
        const call = this.#open(site, 'upload', task, signal);
        const { size, sha256 } = fromBinary(ReceiptSchema, await sendChunks(call, chunks, this.#memory, moved));
        return { size: Number(size), sha256 };
      },

      renew: () => Promise.reject(new ClaraError('unsupported', 'a site inside of this process has no certificate')),

      // Calls end with their signals; the port is of all sites.
      close: () => {},
      abandon: () => {},
    };
  }

  #open(site: string, method: Method, request: Uint8Array | string, signal: AbortSignal): Call {
    this.#last += 1;
    const call = this.#last;
    const inbox = new Inbox<Answer>();
    const post = (message: FromSites, memory: ArrayBuffer[] = []) => this.port.postMessage(message, memory);
    if (signal.aborted) {
      inbox.fail(signal.reason);
      return { inbox, send: () => {}, leave: () => {} };
    }
    this.#calls.set(call, inbox);
    const leave = (reason: unknown = new ClaraError('cancelled', 'the call was left')) => {
      signal.removeEventListener('abort', onAbort);
      inbox.fail(reason);
      if (this.#calls.delete(call)) post({ kind: 'cancel', call });
    };
    const onAbort = () => leave(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    post({ kind: 'open', call, site, method, request });
    return {
      inbox,
      send: (message, memory) => {
        if (this.#calls.has(call)) post({ ...message, call } as FromSites, memory);
      },
      leave,
    };
  }
}

interface Call {
  readonly inbox: Inbox<Answer>;
  send(message: WithoutCall<Exclude<FromSites, { kind: 'open' | 'cancel' }>>, memory?: ArrayBuffer[]): void;
  /** Ends the call, unless it has ended. */
  leave(reason?: unknown): void;
}
type WithoutCall<Message> = Message extends unknown ? Omit<Message, 'call'> : never;

function encode<Schema extends DescMessage>(schema: Schema, message: MessageInitShape<Schema>): Uint8Array {
  return toBinary(schema, create(schema, message));
}

async function* messagesOf({ inbox, leave }: Call) {
  try {
    for await (const answer of inbox) {
      if (answer.kind !== 'message') return;
      yield fromBinary(CoordinatorMessageSchema, answer.bytes);
    }
  } finally {
    leave();
  }
}

async function* chunksOf({ inbox, send, leave }: Call, moved: () => void): AsyncGenerator<WireChunk> {
  try {
    for (let memory: ArrayBuffer | undefined; ; ) {
      send({ kind: 'next', memory }, memory && [memory]);
      const answer = await inbox.take();
      if (answer?.kind !== 'chunk') return;
      moved();
      memory = answer.chunk.data.buffer as ArrayBuffer;
      yield received(answer.chunk);
    }
  } finally {
    leave();
  }
}

async function replyOf({ inbox, leave }: Call): Promise<Uint8Array> {
  try {
    const answer = await inbox.take();
    if (answer?.kind === 'end') return answer.bytes;
    throw new ClaraError('internal', `a call was answered by ${answer?.kind ?? 'nothing'}`);
  } finally {
    leave();
  }
}

/** Gives a chunk whenever one is asked for. @returns the answer, which may come before everything was sent */
async function sendChunks(
  { inbox, send, leave }: Call,
  chunks: AsyncIterable<WireChunk>,
  pool: ChunkMemory,
  moved: () => void,
): Promise<Uint8Array> {
  const source = chunks[Symbol.asyncIterator]();
  try {
    for (;;) {
      const asked = await inbox.take();
      if (asked?.kind === 'end') return asked.bytes;
      if (asked?.kind !== 'next') throw new ClaraError('internal', `an upload was answered by ${asked?.kind}`);
      pool.takeBack(asked.memory);
      const next = await source.next();
      if (next.done) send({ kind: 'chunk', chunk: undefined });
      else {
        const { chunk, memory } = pool.handOver(next.value);
        send({ kind: 'chunk', chunk }, memory);
        moved();
      }
    }
  } finally {
    leave();
    await source.return?.();
  }
}
