import assert from 'node:assert/strict';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { hasCode } from '../../base/errors';
import {
  allocateChunkData,
  CHUNK_BYTES,
  checkCrc,
  decodeChunk,
  encodeChunk,
  MAX_CHUNK_BYTES,
  makeChunk,
  type WireChunk,
} from '../../federation/chunk-codec';
import { type Chunk, ChunkSchema } from '../../federation/gen/federation/v1/federation_pb';

const anyOffset = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat(),
  fc.nat(52).map((bit) => 2 ** bit),
);
const anySha256 = fc.uint8Array({ minLength: 32, maxLength: 32 });

/** Offsets leave room for the data below 2^53, and the object is at least as long as the chunk says. */
const anyChunk: fc.Arbitrary<WireChunk> = fc
  .record({
    offset: anyOffset,
    more: fc.nat(1000),
    crc32: fc.oneof(fc.constantFrom(0, 0xffffffff), fc.nat(0xffffffff)),
    data: fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.nat(20_000).map((length) => new Uint8Array(length).fill(7)),
    ),
    sha256: fc.option(anySha256, { nil: undefined }),
  })
  .map(({ offset, more, crc32, data, sha256 }) => {
    const start = Math.min(offset, Number.MAX_SAFE_INTEGER - data.length - more);
    const header = sha256 === undefined ? undefined : { size: start + data.length + more, sha256 };
    return { header, offset: start, crc32, data };
  });

function generated(chunk: WireChunk): Chunk {
  const { header, offset, crc32, data } = chunk;
  return create(ChunkSchema, {
    header: header && { size: BigInt(header.size), sha256: header.sha256 },
    offset: BigInt(offset),
    crc32,
    data,
  });
}

function plain(chunk: WireChunk): object {
  const { header, offset, crc32, data } = chunk;
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  return { header: header && { size: header.size, sha256: hex(header.sha256) }, offset, crc32, data: hex(data) };
}

const isCorrupt = (error: unknown): boolean => hasCode(error, 'corrupt');
const refuses = (bytes: readonly number[] | Uint8Array, message: RegExp): void => {
  assert.throws(
    () => decodeChunk(Buffer.from(bytes)),
    (error) => hasCode(error, 'corrupt') && message.test(error.message),
  );
};

describe('chunk codec', () => {
  it('writes the bytes that generated code writes', () => {
    fc.assert(
      fc.property(anyChunk, (chunk) => {
        const bytes = encodeChunk(chunk);
        assert.ok(bytes.equals(toBinary(ChunkSchema, generated(chunk))));
        assert.deepEqual(fromBinary(ChunkSchema, new Uint8Array(bytes)), generated(chunk));
      }),
      { numRuns: 500 },
    );
  });

  it('writes the same bytes around data in memory that has room for them, as often as asked', () => {
    fc.assert(
      fc.property(anyChunk, fc.nat(50), (chunk, spare) => {
        // A file that ends early leaves data shorter than the memory that was taken for them.
        const data = allocateChunkData(chunk.data.length + spare).subarray(0, chunk.data.length);
        data.set(chunk.data);
        const expected = encodeChunk(chunk);
        assert.deepEqual(encodeChunk({ ...chunk, data }), expected);
        assert.deepEqual(encodeChunk({ ...chunk, data }), expected);
      }),
    );
  });

  it('does not write before data that are only a part of such memory', () => {
    const memory = allocateChunkData(100).fill(1);
    encodeChunk({ offset: 5, crc32: 9, data: memory.subarray(50) });
    assert.ok(memory.every((byte) => byte === 1));
  });

  it('reads what generated code writes', () => {
    fc.assert(
      fc.property(anyChunk, (chunk) => {
        const bytes = Buffer.from(toBinary(ChunkSchema, generated(chunk)));
        assert.deepEqual(plain(decodeChunk(bytes)), plain(chunk));
      }),
      { numRuns: 500 },
    );
  });

  it('reads without a copy, from a view into a larger buffer', () => {
    const bytes = encodeChunk(makeChunk(5, Buffer.from('payload')));
    const around = Buffer.concat([Buffer.alloc(11), bytes, Buffer.alloc(3)]);
    const { data } = decodeChunk(around.subarray(11, 11 + bytes.length));
    assert.equal(data.buffer, around.buffer);
    assert.equal(Buffer.from(data).toString(), 'payload');
  });

  it('skips fields that a later version may add, in chunk and header', () => {
    const varint = [0x78, ...Array(9).fill(0xff), 0x01]; // field 15, 64 bits
    const fixed64 = [0x79, 1, 2, 3, 4, 5, 6, 7, 8];
    const text = [0x7a, 2, 0x22, 0x22];
    const fixed32 = [0x7d, 1, 2, 3, 4];
    const far = [0xfa, 0xff, 0xff, 0xff, 0x0f, 1, 9]; // the highest field number
    const otherType = [0x15, 1, 2, 3, 4]; // field 2, not a varint
    const sha256 = new Uint8Array(32).fill(3);
    const header = [...varint, 0x08, 9, ...fixed64, 0x12, 32, ...sha256, ...text];
    for (const extra of [varint, fixed64, text, fixed32, far, otherType]) {
      const bytes = Buffer.from([...extra, 0x0a, header.length, ...header, ...extra, 0x10, 1, 0x22, 1, 42, ...extra]);
      const chunk = decodeChunk(bytes);
      assert.deepEqual(plain(chunk), plain({ header: { size: 9, sha256 }, offset: 1, crc32: 0, data: Buffer.of(42) }));
    }
  });

  it('takes the last of a repeated field and merges a repeated header, as protobuf defines', () => {
    const sha256 = new Uint8Array(32).fill(3);
    const bytes = Buffer.from([0x10, 1, 0x10, 2, 0x0a, 34, 0x12, 32, ...sha256, 0x0a, 2, 0x08, 9]);
    const reference = fromBinary(ChunkSchema, bytes);
    const chunk = decodeChunk(bytes);
    assert.deepEqual(plain(chunk), plain({ header: { size: 9, sha256 }, offset: 2, crc32: 0, data: Buffer.of() }));
    assert.deepEqual(
      { size: reference.header?.size, offset: reference.offset },
      { size: 9n, offset: 2n },
      'generated code agrees',
    );
    assert.deepEqual(reference.header?.sha256, Buffer.from(sha256));
  });

  it('refuses bytes that are no message', () => {
    refuses([0x10], /ends inside a number/);
    refuses([0x10, 0x80], /ends inside a number/);
    refuses([0x10, ...Array(10).fill(0xff), 1], /more than 10 bytes/);
    refuses([0x10, ...Array(9).fill(0xff), 1], /2\^53 or more/);
    refuses([0x1d, 1, 2, 3], /ends inside a field of 4 bytes/);
    refuses([0x22, 5, 1], /ends inside a field of 5 bytes/);
    refuses([0x22, ...Array(7).fill(0xff), 0x0f], /ends inside a field/);
    refuses([0x0a, 3, 0x12, 32, 0], /ends inside a field of 32 bytes/);
    refuses([0x7b], /wire type 3/);
    refuses([0x02, 0], /impossible field tag 2/);
    refuses([0x78, ...Array(11).fill(0xff)], /more than 10 bytes/);
  });

  it('refuses chunks beyond the limits, when sent and when received', () => {
    const sha256 = new Uint8Array(32);
    const largest = makeChunk(0, new Uint8Array(MAX_CHUNK_BYTES));
    assert.equal(decodeChunk(encodeChunk(largest)).data.length, MAX_CHUNK_BYTES);
    const unsound: [WireChunk, RegExp][] = [
      [makeChunk(0, new Uint8Array(MAX_CHUNK_BYTES + 1)), /carries 4194305 bytes; send at most 4194304/],
      [makeChunk(Number.MAX_SAFE_INTEGER, Buffer.of(1)), /no byte offset below 2\^53/],
      [makeChunk(0, Buffer.of(1), { size: 1, sha256: new Uint8Array(31) }), /sha256 of 31 bytes/],
      [makeChunk(0, Buffer.of(1), { size: 1, sha256: new Uint8Array(0) }), /sha256 of 0 bytes/],
      [makeChunk(8, Buffer.of(1, 2), { size: 9, sha256 }), /ends at byte 10 of an object of 9 bytes/],
    ];
    for (const [chunk, message] of unsound) {
      refuses(toBinary(ChunkSchema, generated(chunk)), message);
      assert.throws(
        () => encodeChunk(chunk),
        (error) => hasCode(error, 'invalid-input') && message.test(error.message),
      );
    }
    for (const bad of [
      { offset: -1, crc32: 0 },
      { offset: 0.5, crc32: 0 },
      { offset: 0, crc32: -1 },
      { offset: 0, crc32: 2 ** 32 },
    ]) {
      assert.throws(
        () => encodeChunk({ ...bad, data: Buffer.of() }),
        (error) => hasCode(error, 'invalid-input'),
      );
    }
  });

  it('answers any bytes by a chunk within the limits or by one ClaraError', () => {
    const corrupted = fc.tuple(anyChunk, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.nat(9));
    const mutated = corrupted.map(([chunk, changes, cut]) => {
      const bytes = encodeChunk(chunk);
      for (const [at, value] of changes) if (bytes.length > 0) bytes[at % Math.min(bytes.length, 60)] = value;
      return bytes.subarray(0, bytes.length - Math.min(cut, bytes.length));
    });
    let refused = 0;
    fc.assert(
      fc.property(
        fc.oneof(
          mutated,
          fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
        ),
        (bytes) => {
          try {
            const chunk = decodeChunk(bytes);
            assert.ok(chunk.data.length <= bytes.length);
            assert.ok(Number.isSafeInteger(chunk.offset + chunk.data.length));
          } catch (error) {
            assert.ok(isCorrupt(error), `threw ${error}`);
            refused++;
          }
        },
      ),
      { numRuns: 2000 },
    );
    assert.ok(refused > 200, `only ${refused} were refused`);
  });

  it('tells data that changed on the way by their checksum', () => {
    const chunk = makeChunk(4096, Buffer.from('123456789'));
    assert.equal(chunk.crc32, 0xcbf43926); // the check value of CRC-32/ISO-HDLC
    checkCrc(chunk);
    const bytes = encodeChunk(chunk);
    bytes[bytes.length - 1] ^= 1;
    assert.throws(
      () => checkCrc(decodeChunk(bytes)),
      (error) => hasCode(error, 'corrupt') && /offset 4096 .* announces cbf43926/.test(error.message),
    );
  });

  it('keeps a full chunk with its gRPC prefix within 1 MiB, in whole pages', () => {
    const header = { size: Number.MAX_SAFE_INTEGER, sha256: new Uint8Array(32).fill(1) };
    const chunk = makeChunk(Number.MAX_SAFE_INTEGER - CHUNK_BYTES, new Uint8Array(CHUNK_BYTES).fill(1), header);
    const envelope = encodeChunk(chunk).length + 5 - CHUNK_BYTES;
    assert.ok(envelope <= 68, `${envelope}`);
    assert.ok(CHUNK_BYTES + envelope <= 1024 * 1024);
    assert.equal(CHUNK_BYTES % 4096, 0);
  });
});
