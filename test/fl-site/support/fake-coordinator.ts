import { createHash } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Client, credentials, Server, ServerCredentials, type ServerWritableStream } from '@grpc/grpc-js';
import { ClaraError } from '../../../base/errors';
import { makeChunk, type WireChunk } from '../../../federation/chunk-codec';
import {
  type CoordinatorMessageSchema,
  Federation,
  type Hello,
  type SiteMessage,
  type TaskSchema,
} from '../../../federation/gen/federation/v1/federation_pb';
import { serve } from '../../../federation/service-handlers';
import type { CoordinatorClient } from '../../../fl-site/coordinator-client';
import { grpcCoordinatorClient } from '../../../fl-site/grpc-coordinator-client';
import { freePort } from '../../support/free-port';

type Stream = ServerWritableStream<unknown, MessageInitShape<typeof CoordinatorMessageSchema>>;

export interface FakeOptions {
  readonly port?: number;
  readonly heartbeatMillis?: number;
  /** Accepts connections and says nothing. */
  readonly neverWelcomes?: boolean;
  readonly chunkBytes?: number;
}

/**
 * The coordinator's end of the wire as a real gRPC server on the loopback interface, with a memory instead of a state
 * machine, and hooks to go wrong. It repeats open tasks after a reconnect as the protocol asks for.
 */
export class FakeCoordinator {
  readonly objects = new Map<string, Buffer>();
  /** What each task's uploads have made durable. */
  readonly uploads = new Map<string, { bytes: Buffer; size: number; sha256: Buffer }>();
  readonly hellos: Hello[] = [];
  readonly messages: SiteMessage['message'][] = [];
  readonly downloads: { object: string; offset: number }[] = [];
  readonly uploadOffsets: number[] = [];
  /** How often sites asked how much of an upload is here. */
  uploadQuestions = 0;
  readonly openTasks = new Map<string, MessageInitShape<typeof TaskSchema>>();
  /** May change, cut (throw) or end a download. */
  onDownload: (chunks: AsyncIterable<WireChunk>, attempt: number) => AsyncIterable<WireChunk> = (chunks) => chunks;
  /** Told of each chunk received; may throw to cut the upload. */
  onUploadChunk: (received: number, attempt: number) => void | Promise<void> = () => undefined;
  /** What every question about an upload is answered with. */
  refuseUploads: ClaraError | undefined;
  renew: (request: Uint8Array) => Promise<{ chainPem: string; rootsPem: string }> = async () => {
    throw new ClaraError('unsupported', 'no certificates here');
  };
  #streams = new Set<Stream>();
  #watchers = new Set<() => void>();

  private constructor(
    private readonly server: Server,
    readonly port: number,
    private readonly options: FakeOptions,
  ) {}

  static async start(options: FakeOptions = {}): Promise<FakeCoordinator> {
    const server = new Server({ 'grpc.max_receive_message_length': -1 });
    // One to which it can come back: what the system gives to port 0, it may give to somebody else meanwhile.
    const free = await freePort();
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${options.port ?? free}`, ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    const fake = new FakeCoordinator(server, port, options);
    fake.#serve();
    return fake;
  }

  /** Dies as a killed process does: every connection breaks. */
  kill(): void {
    this.server.forceShutdown();
    this.#streams.clear();
  }

  /** A client of this coordinator. */
  dial(): CoordinatorClient {
    return dialInsecure(`127.0.0.1:${this.port}`);
  }

  get connected(): boolean {
    return this.#streams.size > 0;
  }

  push(message: MessageInitShape<typeof CoordinatorMessageSchema>['message']): void {
    for (const stream of this.#streams) stream.write({ message });
  }

  /** Makes a task open and pushes it, now and after every reconnect. */
  open(task: MessageInitShape<typeof TaskSchema> & { id: string }): void {
    this.openTasks.set(task.id, task);
    this.push({ case: 'task', value: task });
  }

  settle(task: string): void {
    this.openTasks.delete(task);
    this.push({ case: 'taskSettled', value: { task } });
  }

  addModel(object: string, bytes: Buffer) {
    this.objects.set(object, bytes);
    return { name: 'global', object, size: BigInt(bytes.length), sha256: Uint8Array.from(sha256Of(bytes)) };
  }

  /** Resolves with the first message, received already or later, that `pick` answers for. */
  async heard<Answer>(pick: (message: SiteMessage['message']) => Answer | undefined): Promise<Answer> {
    for (;;) {
      for (const message of this.messages) {
        const answer = pick(message);
        if (answer !== undefined) return answer;
      }
      await this.changed();
    }
  }

  /** The result of a task. */
  result(task: string) {
    return this.heard((message) =>
      message.case === 'taskResult' && message.value.task === task ? message.value.outcome : undefined,
    );
  }

  /** Resolves with the next thing that happens here. */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      const watcher = () => {
        this.#watchers.delete(watcher);
        resolve();
      };
      this.#watchers.add(watcher);
    });
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.changed();
  }

  #happened(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  #serve(): void {
    const { heartbeatMillis = 200, neverWelcomes, chunkBytes = 1000 } = this.options;
    let downloadAttempt = 0;
    let uploadAttempt = 0;
    serve(
      this.server,
      Federation,
      {
        connect: async (messages, _context, call) => {
          try {
            for await (const { message } of messages) {
              if (message.case === 'hello') {
                this.hellos.push(message.value);
                if (neverWelcomes) continue;
                this.#streams.add(call);
                call.write({ message: { case: 'welcome', value: { software: 'fake', heartbeatMillis } } });
                for (const value of this.openTasks.values()) call.write({ message: { case: 'task', value } });
              } else this.messages.push(message);
              this.#happened();
            }
          } finally {
            this.#streams.delete(call);
            this.#happened();
          }
        },
        download: ({ object, offset }) => {
          const bytes = this.objects.get(object);
          if (!bytes) throw new ClaraError('not-found', `there is no ${object}`);
          this.downloads.push({ object, offset: Number(offset) });
          this.#happened();
          return this.onDownload(chunksOf(bytes, Number(offset), chunkBytes), downloadAttempt++);
        },
        uploadStatus: async ({ task, size, sha256 }) => {
          this.uploadQuestions++;
          if (this.refuseUploads) throw this.refuseUploads;
          const known = this.uploads.get(task);
          if (!known || known.size !== Number(size) || !known.sha256.equals(sha256)) {
            this.uploads.set(task, { bytes: Buffer.alloc(0), size: Number(size), sha256: Buffer.from(sha256) });
          }
          return { durableBytes: BigInt(this.uploads.get(task)!.bytes.length) };
        },
        upload: async (chunks, { metadata }) => {
          const task = String(metadata.get('clara-task')[0]);
          let upload = this.uploads.get(task)!;
          const attempt = uploadAttempt++;
          let first = true;
          for await (const { header, offset, data } of chunks) {
            if (first) {
              this.uploadOffsets.push(offset);
              if (header && !upload) {
                upload = { bytes: Buffer.alloc(0), size: header.size, sha256: Buffer.from(header.sha256) };
                this.uploads.set(task, upload);
              }
              if (header?.size !== upload.size) throw new ClaraError('invalid-input', 'the first chunk has no header');
            }
            first = false;
            if (offset !== upload.bytes.length) {
              throw new ClaraError('unavailable', `no gap before ${offset}`);
            }
            upload.bytes = Buffer.concat([upload.bytes, data]);
            this.#happened();
            await this.onUploadChunk(upload.bytes.length, attempt);
          }
          if (!sha256Of(upload.bytes).equals(upload.sha256)) throw new ClaraError('corrupt', 'wrong digest');
          return { size: BigInt(upload.size), sha256: Uint8Array.from(upload.sha256) };
        },
        renew: async ({ csrDer }) => this.renew(csrDer),
        probe: async () => ({ software: 'fake', protocol: 1, unixMillis: BigInt(Date.now()) }),
      },
      { admit: () => undefined },
    );
  }
}

/** A client without TLS, for servers on the loopback interface. */
export function dialInsecure(address: string): CoordinatorClient {
  return grpcCoordinatorClient(
    new Client(address, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.initial_reconnect_backoff_ms': 50,
      'grpc.max_reconnect_backoff_ms': 100,
      'grpc.enable_retries': 0,
    }),
  );
}

export async function* chunksOf(bytes: Buffer, offset: number, chunkBytes: number): AsyncGenerator<WireChunk> {
  const header = { size: bytes.length, sha256: sha256Of(bytes) };
  for (let begin = offset; begin < bytes.length; begin += chunkBytes) {
    yield makeChunk(begin, bytes.subarray(begin, begin + chunkBytes), begin === offset ? header : undefined);
  }
}

export function sha256Of(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
