import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { MessageChannel } from 'node:worker_threads';
import { ClaraError } from '../../base/errors';
import { makeChunk, type WireChunk } from '../../federation/chunk-codec';
import type { Federation, SiteMessage } from '../../federation/gen/federation/v1/federation_pb';
import { type SiteIdentity, siteIdentity } from '../../federation/identity';
import { TASK_METADATA } from '../../federation/protocol';
import type { ServiceHandlers } from '../../federation/service-handlers';
import type { CoordinatorClient } from '../../fl-site/coordinator-client';
import { PortClients } from '../../simulation/port/port-client';
import { PortGateway } from '../../simulation/port/port-gateway';

type Handlers = ServiceHandlers<typeof Federation, SiteIdentity>;

const MODEL = randomBytes(2_500_000);
const SHA256 = createHash('sha256').update(MODEL).digest();
const PIECE = 1_000_000;

function* modelChunks(memory?: Buffer): Generator<WireChunk> {
  for (let offset = 0; offset < MODEL.length; offset += PIECE) {
    const data = MODEL.subarray(offset, offset + PIECE);
    // As those who send do it: one piece of memory for all chunks.
    const own = memory ? memory.subarray(0, data.copy(memory)) : data;
    yield makeChunk(offset, own, offset === 0 ? { size: MODEL.length, sha256: SHA256 } : undefined);
  }
}

describe('the port between sites and coordinator', () => {
  const failures: string[] = [];
  let gateway: PortGateway;
  let clients: PortClients;
  let closePort: () => void;

  const connect = (handlers: Partial<Handlers>): CoordinatorClient => {
    const { port1, port2 } = new MessageChannel();
    gateway = new PortGateway(port1, {
      handlers: handlers as Handlers,
      callerOf: (site) => {
        if (site !== 'stranger') return siteIdentity('simulation', site);
        throw new ClaraError('unauthenticated', 'stranger is no site of this simulation');
      },
      onFailure: (thrown, method) => failures.push(`${method}: ${(thrown as Error).message}`),
    });
    clients = new PortClients(port2);
    closePort = () => port2.close();
    return clients.of('northern');
  };

  beforeEach(() => failures.splice(0));
  afterEach(() => {
    gateway.close();
    closePort();
  });

  const signal = new AbortController().signal;

  it('brings an upload to the handler byte for byte, with its task and its caller, and the receipt back', async () => {
    const taken: Buffer[] = [];
    const client = connect({
      async upload(chunks, { caller, metadata }) {
        assert.equal(caller.id, 'northern');
        assert.deepEqual(metadata.get(TASK_METADATA), ['run/train/1/northern']);
        for await (const chunk of chunks as AsyncIterable<WireChunk>) {
          if (taken.length === 0) assert.equal(chunk.header?.size, MODEL.length);
          taken.push(Buffer.from(chunk.data));
        }
        return { size: BigInt(MODEL.length), sha256: SHA256 };
      },
    });
    async function* chunks() {
      yield* modelChunks(Buffer.alloc(PIECE));
    }
    const receipt = await client.upload('run/train/1/northern', chunks(), signal);
    assert.equal(receipt.size, MODEL.length);
    assert.ok(Buffer.concat(taken).equals(MODEL));
    assert.ok(Buffer.from(receipt.sha256).equals(SHA256));
  });

  it('brings a download byte for byte, chunk by chunk as they are asked for', async () => {
    let given = 0;
    const client = connect({
      async *download({ object, offset }) {
        assert.deepEqual([object, offset], ['model', 7n]);
        for (const chunk of modelChunks(Buffer.alloc(PIECE))) {
          given++;
          yield chunk as never;
        }
      },
    });
    const taken: Buffer[] = [];
    for await (const chunk of client.download('model', 7, signal)) {
      taken.push(Buffer.from(chunk.data));
      assert.ok(given <= taken.length + 1, `${given} chunks were made, ${taken.length} taken`);
    }
    assert.ok(Buffer.concat(taken).equals(MODEL));
  });

  it('keeps code, sentence and faults of a failure, and tells the coordinator of it', async () => {
    const client = connect({
      async uploadStatus() {
        throw new ClaraError('invalid-input', 'the update is refused', {
          faults: [{ path: 'w', rule: 'is not finite' }],
        });
      },
    });
    const upload = { task: 't', size: 1, sha256: SHA256 };
    await assert.rejects(client.uploadStatus(upload, signal), (error: ClaraError) => {
      assert.deepEqual([error.code, error.message], ['invalid-input', 'the update is refused']);
      assert.deepEqual(error.faults, [{ path: 'w', rule: 'is not finite' }]);
      return true;
    });
    assert.deepEqual(failures, ['uploadStatus: the update is refused']);
    await assert.rejects(clients.of('stranger').uploadStatus(upload, signal), /no site of this simulation/);
  });

  it('tells a handler that the site has gone, and the site at once', async () => {
    let told: AbortSignal | undefined;
    const heard: (string | undefined)[] = [];
    const ended = deferred();
    const client = connect({
      async connect(messages, context) {
        told = context.signal;
        try {
          for await (const message of messages as AsyncIterable<SiteMessage>) heard.push(message.message.case);
        } finally {
          ended.resolve(undefined);
        }
      },
    });
    const stop = new AbortController();
    const stream = client.connect(stop.signal);
    stream.send({
      case: 'hello',
      value: { $typeName: 'federation.v1.Hello', protocol: 1, software: 'x', trainer: 't', freeBytes: 1n },
    });
    const listening = (async () => {
      for await (const _ of stream.messages);
    })();
    while (heard.length === 0) await new Promise(setImmediate);
    stop.abort(new ClaraError('cancelled', 'enough'));
    await assert.rejects(listening, /enough/);
    await ended.promise;
    assert.deepEqual(heard, ['hello']);
    assert.equal(told?.aborted, true);
    assert.deepEqual(failures, [], 'a site that goes is no failure');
  });
});

function deferred() {
  let resolve: (value: unknown) => void = () => {};
  const promise = new Promise((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
