import assert from 'node:assert/strict';
import fc from 'fast-check';
import { allocateChunkData, CHUNK_BYTES, encodeChunk, makeChunk } from '../../federation/chunk-codec';
import { releaseMessage } from '../../federation/grpc-memory';

/**
 * The internals of grpc-js that grpc-memory.ts reaches into, by the names that it has to find there. When a later version
 * moves them, transfers still work and these tests fail.
 */
const { StreamDecoder } = require('@grpc/grpc-js/build/src/stream-decoder');
const { BaseServerInterceptingCall } = require('@grpc/grpc-js/build/src/server-interceptors');
const { CompressionFilter } = require('@grpc/grpc-js/build/src/compression-filter');

const BULK = 64 * 1024;

/** A message as gRPC frames it on the wire. */
function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Bytes that tell where they are, so that a misplaced piece shows. */
function bytesOf(length: number, seed: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) + seed) & 255));
}

/** What a decoder makes of the messages when they arrive in pieces of these sizes. */
function decoded(
  decoder: { write(bytes: Buffer): Buffer[] },
  messages: readonly Buffer[],
  pieces: Iterator<number>,
): Buffer[] {
  const wire = Buffer.concat(messages.map(framed));
  const out: Buffer[] = [];
  for (let at = 0; at < wire.length; ) {
    const size = pieces.next().value as number;
    out.push(...decoder.write(wire.subarray(at, at + size)));
    at += size;
  }
  return out;
}

function* always(size: number): Generator<number> {
  for (;;) yield size;
}

describe('memory of grpc-js messages', () => {
  it('gives every message whole, however its bytes are cut and whatever was given back before', () => {
    const length = fc.oneof(
      fc.integer({ min: 0, max: 40 }),
      fc.integer({ min: BULK - 3, max: BULK + 3 }),
      fc.constant(3 * BULK),
      fc.constant(1 << 20),
    );
    const cut = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1000, max: 40_000 }), fc.constant(2 << 20));
    fc.assert(
      fc.property(
        fc.array(length, { minLength: 1, maxLength: 6 }),
        fc.infiniteStream(cut),
        fc.boolean(),
        (lengths, pieces, giveBack) => {
          const messages = lengths.map((size, index) => bytesOf(size, index));
          const out = decoded(new StreamDecoder(-1), messages, pieces);
          assert.equal(out.length, messages.length);
          for (const [index, message] of messages.entries())
            assert.ok(out[index]!.equals(framed(message)), `message ${index}`);
          if (giveBack) for (const message of out) releaseMessage(message);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('uses memory again once it was given back, and never while it was not', () => {
    const message = bytesOf(CHUNK_BYTES, 1);
    const receive = (): Buffer => decoded(new StreamDecoder(-1), [message], always(16_384))[0]!;
    const first = receive();
    const second = receive();
    assert.notEqual(first.buffer, second.buffer);
    releaseMessage(first.subarray(5));
    const third = receive();
    assert.equal(third.buffer, first.buffer);
    releaseMessage(third);
    releaseMessage(third);
    const [fourth, fifth] = [receive(), receive()];
    assert.notEqual(fourth.buffer, fifth.buffer, 'given back twice, lent twice at once');
    assert.ok(second.equals(framed(message)));
  });

  it('keeps two calls apart whose pieces arrive in turns', () => {
    const [a, b] = [bytesOf(CHUNK_BYTES, 3), bytesOf(CHUNK_BYTES, 5)];
    const [left, right] = [new StreamDecoder(-1), new StreamDecoder(-1)];
    const out: Buffer[][] = [[], []];
    for (let at = 0; at < CHUNK_BYTES + 5; at += 16_384) {
      out[0]!.push(...left.write(framed(a).subarray(at, at + 16_384)));
      out[1]!.push(...right.write(framed(b).subarray(at, at + 16_384)));
    }
    assert.ok(out[0]![0]!.equals(framed(a)));
    assert.ok(out[1]![0]!.equals(framed(b)));
  });

  it('leaves the limit on messages to grpc-js', () => {
    assert.throws(() => decoded(new StreamDecoder(BULK), [bytesOf(BULK + 1, 1)], always(16_384)), /larger than max/);
  });

  it('puts the prefix of a chunk before it where it lies, on both sides', async () => {
    const data = allocateChunkData(CHUNK_BYTES);
    bytesOf(CHUNK_BYTES, 2).copy(data);
    const chunk = makeChunk(0, data, { size: CHUNK_BYTES, sha256: Buffer.alloc(32, 9) });
    const expected = framed(Buffer.from(encodeChunk(chunk)));
    const fromServer: Buffer = BaseServerInterceptingCall.prototype.serializeMessage.call(
      { handler: { serialize: encodeChunk } },
      chunk,
    );
    assert.ok(fromServer.equals(expected));
    assert.equal(fromServer.buffer, data.buffer);
    const fromClient = await new CompressionFilter({}, {}).sendMessage(
      Promise.resolve({ message: encodeChunk(chunk), flags: 0 }),
    );
    assert.ok(fromClient.message.equals(expected));
    assert.equal(fromClient.message.buffer, data.buffer);
  });

  it('frames what lies elsewhere as grpc-js does', async () => {
    const message = bytesOf(300, 4);
    const fromServer: Buffer = BaseServerInterceptingCall.prototype.serializeMessage.call(
      { handler: { serialize: () => message } },
      {},
    );
    assert.ok(fromServer.equals(framed(message)));
    const fromClient = await new CompressionFilter({}, {}).sendMessage(Promise.resolve({ message, flags: 0 }));
    assert.ok(fromClient.message.equals(framed(message)));
  });
});
