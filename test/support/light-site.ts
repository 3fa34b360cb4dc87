import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import path from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Client, credentials as grpcCredentials, Metadata } from '@grpc/grpc-js';
import { ClaraError } from '../../base/errors';
import { openChannel } from '../../federation/channel';
import { makeChunk, type WireChunk } from '../../federation/chunk-codec';
import { type Credentials, loadCredentials } from '../../federation/credentials';
import {
  type CoordinatorMessage,
  Federation as Service,
  type SiteMessage,
  type SiteMessageSchema,
  type Task,
} from '../../federation/gen/federation/v1/federation_pb';
import { fromServiceError } from '../../federation/grpc-errors';
import { PROTOCOL, TASK_METADATA } from '../../federation/protocol';
import { wireMethods } from '../../federation/services';
import type { CoordinatorClient } from '../../fl-site/coordinator-client';
import { grpcCoordinatorClient } from '../../fl-site/grpc-coordinator-client';
import type { Federation } from './federation';
import { initialShiftModel, shiftFile, shiftSamples, shiftUpdate } from './shift-model';

type Incoming = CoordinatorMessage['message'];
/** What a site may say. */
export type Said = Exclude<MessageInitShape<typeof SiteMessageSchema>, SiteMessage>['message'];

const WAIT_MILLIS = 40_000;
const NEVER = new AbortController().signal;

/**
 * A site that says what a test has it say, over a real line: any message, in any order, as often as the test likes. The model
 * that it makes is that of shift-trainer.cjs.
 */
export class LightSite {
  readonly client: CoordinatorClient;

  private constructor(
    readonly site: string,
    private readonly address: string,
    private readonly credentials: Credentials,
  ) {
    this.client = grpcCoordinatorClient(openChannel({ address, credentials }));
  }

  /** @param port where the coordinator is found; its own by default */
  static async enrolled(federation: Federation, site: string, port = federation.port): Promise<LightSite> {
    await federation.addSite(site);
    const credentials = await loadCredentials(path.join(federation.siteFolder(site), 'credentials'));
    return new LightSite(site, `localhost:${port}`, credentials);
  }

  /** A connection that has said hello. */
  connect(software = 'light 1.0'): LightLine {
    const line = new LightLine(this.client);
    line.say({ case: 'hello', value: { protocol: PROTOCOL, software, trainer: 'shift' } });
    return line;
  }

  /** The update that a task of initialising or training asks for. */
  async update(task: Task): Promise<Buffer> {
    const { elements = 1000 } = JSON.parse(task.parametersJson) as { elements?: number };
    if (task.kind === 'initialise') return shiftFile(initialShiftModel(elements), elements);
    const pieces: Uint8Array[] = [];
    for await (const chunk of this.client.download(task.models[0]!.object, 0, NEVER))
      pieces.push(Buffer.from(chunk.data));
    const bytes = Buffer.concat(pieces);
    const values = Array.from({ length: elements + 3 }, (_, i) =>
      bytes.readFloatLE(bytes.length - (elements + 3 - i) * 4),
    );
    return shiftFile(shiftUpdate(values, this.site, task.round), elements);
  }

  /** @param chunks what is sent, where that is not simply the update */
  upload(task: string, update: Buffer, chunks: Iterable<WireChunk> = chunksOf(update)): Promise<unknown> {
    return this.client.upload(task, asStream(chunks), NEVER);
  }

  /** An upload of one message, whatever it is and however long. */
  async uploadBytes(task: string, message: Buffer): Promise<void> {
    const { rootsPem, keyPem, chainPem } = this.credentials;
    const [root, key, chain] = [rootsPem, keyPem, chainPem].map((pem) => Buffer.from(pem));
    const unlimited = { 'grpc.max_send_message_length': -1, 'grpc.use_local_subchannel_pool': 1 };
    const channel = new Client(this.address, grpcCredentials.createSsl(root, key, chain), unlimited);
    const metadata = new Metadata();
    metadata.set(TASK_METADATA, task);
    const { path: method } = wireMethods(Service).upload;
    const asItIs = (bytes: Buffer) => bytes;
    await new Promise<void>((resolve, reject) => {
      const call = channel.makeClientStreamRequest(method, asItIs, asItIs, metadata, (error) =>
        error ? reject(fromServiceError(error)) : resolve(),
      );
      call.end(message);
    }).finally(() => channel.close());
  }

  status(task: string, update: Buffer): Promise<number> {
    return this.client.uploadStatus({ task, size: update.length, sha256: sha256(update) }, NEVER);
  }

  /** What a trainer that did well reports. */
  done(task: string, update: Buffer, more: object = {}): Said {
    const value = {
      samples: BigInt(shiftSamples(this.site)),
      steps: 1n,
      seconds: 1,
      updateSha256: sha256(update),
      ...more,
    };
    return { case: 'taskResult', value: { task, outcome: { case: 'done', value } } } as Said;
  }

  /** Does a task as an agent would. @returns what was said of it */
  async deliver(task: Task, line: LightLine): Promise<Said> {
    const update = await this.update(task);
    await this.upload(task.id, update);
    const done = this.done(task.id, update);
    line.say(done);
    return done;
  }

  close(): void {
    this.client.abandon();
  }
}

/** One connection of a site, with all that was heard on it. */
export class LightLine {
  readonly heard: Incoming[] = [];
  /** Why the coordinator ended it; undefined when it ended in order. */
  readonly ended: Promise<Error | undefined>;
  readonly #stop = new AbortController();
  readonly #send: (message: SiteMessage['message']) => void;
  #wake = (): void => {};

  constructor(client: CoordinatorClient) {
    const { send, messages } = client.connect(this.#stop.signal);
    this.#send = send;
    this.ended = this.#listen(messages).then(
      () => undefined,
      (error: Error) => error,
    );
  }

  say(message: Said): void {
    this.#send(message as SiteMessage['message']);
  }

  approve(run: string): void {
    this.say({ case: 'proposalAnswer', value: { run, approved: true } });
  }

  /** The next message of this kind, after `skip` earlier ones that `is` is true of too. */
  async hears<C extends NonNullable<Incoming['case']>>(
    kind: C,
    skip = 0,
    is: (value: never) => boolean = () => true,
  ): Promise<Extract<Incoming, { case: C }>> {
    const end = performance.now() + WAIT_MILLIS;
    for (;;) {
      const found = this.heard
        .filter((message): message is Extract<Incoming, { case: C }> => message.case === kind)
        .filter((message) => is((message as { readonly value: unknown }).value as never))[skip];
      if (found) return found;
      const left = end - performance.now();
      if (left <= 0) throw new Error(`waited in vain for ${kind}; heard ${this.heard.map((each) => each.case).join()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  close(): void {
    this.#stop.abort();
  }

  async #listen(messages: AsyncIterable<CoordinatorMessage>): Promise<void> {
    for await (const { message } of messages) {
      this.heard.push(message);
      this.#wake();
    }
  }
}

export const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

/** The sentence with which something is refused. */
export async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => assert.fail('it was not refused'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ClaraError, String(error));
  return error.message;
}

/** An update as chunks of so many bytes, of which the first has the header. */
export function* chunksOf(update: Buffer, { from = 0, size = 1 << 20 } = {}): Generator<WireChunk> {
  for (let at = from; at < update.length; at += size) {
    const header = at === from ? { size: update.length, sha256: sha256(update) } : undefined;
    yield makeChunk(at, update.subarray(at, at + size), header);
  }
}

async function* asStream(chunks: Iterable<WireChunk>): AsyncGenerator<WireChunk> {
  yield* chunks;
}
