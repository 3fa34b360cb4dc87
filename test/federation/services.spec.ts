import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { ClaraError, type Fault } from '../../base/errors';
import { makeChunk } from '../../federation/chunk-codec';
import { ChunkSchema, Federation, Operations, RunViewSchema } from '../../federation/gen/federation/v1/federation_pb';
import { type ServiceHandlers, serve } from '../../federation/service-handlers';
import { clientOf, wireMethods } from '../../federation/services';
import { received, sender } from '../../federation/stream-flow';

describe('services', () => {
  const events = new EventEmitter();
  let server: Server;
  let channel: Client;
  let failures: unknown[];
  const faults: Fault[] = [
    { path: 'rounds', value: '0', rule: 'must be at least 1' },
    { path: 'nàme', rule: 'must be given' },
  ];
  const refusal = new ClaraError('invalid-input', 'the plan has 2 faults: größe', { faults });
  const refuse = async (): Promise<never> => {
    throw refusal;
  };

  const handlers: ServiceHandlers<typeof Federation, string> = {
    connect: async (messages, _, call) => {
      const send = sender(call);
      let thrown: unknown;
      try {
        for await (const { message } of messages) {
          if (message.case === 'hello') {
            await send({ message: { case: 'welcome', value: { software: message.value.software } } });
          } else if (message.case === 'heartbeat') throw refusal;
          else if (message.case === 'taskResult') call.end();
        }
      } catch (error) {
        thrown = error;
        throw error;
      } finally {
        events.emit('connect left', thrown);
      }
    },
    download: async function* ({ object, offset }, { signal }) {
      events.emit('arrived');
      yield makeChunk(Number(offset), Buffer.from(object), { size: 100, sha256: Buffer.alloc(32, 1) });
      if (object === 'broken') throw refusal;
      if (object === 'endless') {
        await once(signal, 'abort');
        events.emit('gone');
      }
    },
    upload: async (chunks, { metadata }) => {
      let size = 0;
      for await (const { data } of chunks) {
        size += data.length;
        if (size > 5) throw refusal;
      }
      return { size: BigInt(size), sha256: Buffer.from(String(metadata.get('clara-task')[0])) };
    },
    uploadStatus: async ({ task }, { caller, signal }) => {
      if (task === 'slow') {
        events.emit('arrived');
        await once(signal, 'abort');
        events.emit('gone');
      }
      return { durableBytes: BigInt(caller.length) };
    },
    renew: refuse,
    probe: refuse,
  };

  beforeEach(async () => {
    failures = [];
    server = new Server();
    serve(server, Federation, handlers, {
      admit: (_, method) => `caller of ${method}`,
      onFailure: (thrown) => failures.push(thrown),
    });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    channel = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  });
  afterEach(() => {
    channel.close();
    server.forceShutdown();
  });
  const client = () => clientOf(Federation, channel);

  it('have the paths and streaming flags of the proto file', () => {
    const shown = Object.values(wireMethods(Federation)).map(({ path, requestStream, responseStream }) => [
      path,
      requestStream,
      responseStream,
    ]);
    assert.deepEqual(shown, [
      ['/federation.v1.Federation/Connect', true, true],
      ['/federation.v1.Federation/Download', false, true],
      ['/federation.v1.Federation/Upload', true, false],
      ['/federation.v1.Federation/UploadStatus', false, false],
      ['/federation.v1.Federation/Renew', false, false],
      ['/federation.v1.Federation/Probe', false, false],
    ]);
  });

  it('carry chunks as generated code would, and everything else through it', () => {
    const chunk = makeChunk(3, Buffer.from('abc'), { size: 9, sha256: Buffer.alloc(32, 7) });
    for (const bytes of [
      wireMethods(Federation).download.responseSerialize(chunk),
      wireMethods(Federation).upload.requestSerialize(chunk),
      wireMethods(Operations).fetchModel.responseSerialize(chunk),
    ]) {
      const decoded = fromBinary(ChunkSchema, bytes);
      assert.deepEqual([decoded.offset, decoded.crc32, Buffer.from(decoded.data).toString()], [3n, chunk.crc32, 'abc']);
      assert.equal(wireMethods(Federation).download.responseDeserialize(bytes).data.length, 3);
    }
    const view = create(RunViewSchema, { stage: 'train', summary: { run: 'r' } });
    const bytes = wireMethods(Operations).showRun.responseSerialize(view);
    assert.deepEqual(bytes, Buffer.from(toBinary(RunViewSchema, view)));
  });

  it('answer calls of all four kinds', async () => {
    assert.equal((await client().uploadStatus({ task: 't' })).durableBytes, BigInt('caller of uploadStatus'.length));

    const chunks: string[] = [];
    for await (const { data, offset } of received(client().download({ object: 'abc', offset: 4n })))
      chunks.push(`${offset} ${data}`);
    assert.deepEqual(chunks, ['4 abc']);

    const upload = client().upload({ metadata: { 'clara-task': 't-1' } });
    const send = sender(upload.stream);
    for (const part of ['ab', 'cd']) await send(makeChunk(0, Buffer.from(part)));
    upload.stream.end();
    const { size, sha256 } = await upload.reply;
    assert.deepEqual([size, Buffer.from(sha256).toString()], [4n, 't-1']);

    const connect = client().connect();
    connect.write({ message: { case: 'hello', value: { software: 'me' } } });
    connect.end();
    const answers = [];
    for await (const { message } of received(connect))
      answers.push(message.case === 'welcome' && message.value.software);
    assert.deepEqual(answers, ['me']);
  });

  it('show the client exactly the sentence, code and faults that a handler threw', async () => {
    const upload = client().upload();
    upload.stream.write(makeChunk(0, Buffer.from('too much')));
    const connect = client().connect();
    connect.write({ message: { case: 'heartbeat', value: {} } });
    const attempts = [
      () => client().renew({}),
      () => upload.reply,
      () => drain(received(connect)),
      () => drain(received(client().download({ object: 'broken' }))),
    ];
    for (const attempt of attempts) {
      await assert.rejects(attempt, { name: 'ClaraError', code: 'invalid-input', message: refusal.message, faults });
    }
    assert.deepEqual(failures, [refusal, refusal, refusal, refusal]);
  });

  it('tell a reader that starts late that the call has failed', async () => {
    const call = client().download({ object: 'broken' });
    await new Promise((resolve) => call.on('status', resolve));
    await assert.rejects(drain(received(call)), { message: refusal.message });
  });

  it('stop a writer whose upload was refused, leaving the reason in the reply', async () => {
    const upload = client().upload();
    const send = sender(upload.stream);
    const writing = (async () => {
      for (;;) await send(makeChunk(0, Buffer.from('abcdef')));
    })();
    await assert.rejects(writing, { code: 'cancelled', message: /ended before everything was sent/ });
    await assert.rejects(upload.reply, { code: 'invalid-input', message: refusal.message });
  });

  it('are cancelled by their signal, at both ends', async () => {
    for (const start of [
      (signal: AbortSignal) => client().uploadStatus({ task: 'slow' }, { signal }),
      async (signal: AbortSignal) => {
        for await (const _ of received(client().download({ object: 'endless' }, { signal })));
      },
    ]) {
      const controller = new AbortController();
      const gone = once(events, 'gone');
      void once(events, 'arrived').then(() => controller.abort());
      await assert.rejects(start(controller.signal), { code: 'cancelled' });
      await gone;
    }
    assert.deepEqual(failures, []); // a client that leaves is no failure of the server
    const aborted = client().uploadStatus({ task: 't' }, { signal: AbortSignal.abort() });
    await assert.rejects(aborted, { code: 'cancelled' });
  });

  it('end well for both ends when the server ends a stream whose client would go on', async () => {
    const left = once(events, 'connect left');
    const connect = client().connect();
    connect.write({ message: { case: 'taskResult', value: {} } });
    await drain(received(connect));
    assert.deepEqual(await left, [undefined]);
    assert.deepEqual(failures, []);
  });

  it('let a handler go whose client has gone, which is no failure of the server', async () => {
    const connect = client().connect();
    connect.write({ message: { case: 'hello', value: { software: 'me' } } });
    const left = once(events, 'connect left');
    for await (const _ of received(connect)) break;
    const [thrown] = await left;
    assert.ok(thrown === undefined || thrown.code === 'cancelled', String(thrown));
    assert.deepEqual(failures, []);
  });

  it('fail when the answer takes longer than allowed', async () => {
    const late = client().uploadStatus({ task: 'slow' }, { timeoutMillis: 50 });
    await assert.rejects(late, { code: 'deadline-exceeded', message: 'coordinator did not answer in time' });
  });

  it('say that nobody listens', async () => {
    server.forceShutdown();
    await assert.rejects(client().uploadStatus({}), {
      code: 'unavailable',
      message: /^coordinator cannot be reached: connect ECONNREFUSED [^\n]*$/,
    });
  });
});

async function drain(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of messages);
}
