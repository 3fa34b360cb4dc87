import { crc32 } from '@node-rs/crc32';
import { ClaraError } from '../base/errors';

/**
 * The message `federation.v1.Chunk` by hand: the same bytes as generated code, without its copies. Encoding copies
 * the data once, or not at all when they lie in memory of {@link allocateChunkData}; decoding answers views of the bytes that arrived.
 * Wire format: https://protobuf.dev/programming-guides/encoding/
 */

export interface WireBlobHeader {
  /** Bytes of the whole object. */
  readonly size: number;
  /** 32 bytes: SHA-256 of the whole object. */
  readonly sha256: Uint8Array;
}

export interface WireChunk {
  /** In the first chunk of a stream only. */
  readonly header?: WireBlobHeader;
  /** Of the first byte of `data` in the object. */
  readonly offset: number;
  /** Of `data`, unsigned; the polynomial of zlib. */
  readonly crc32: number;
  readonly data: Uint8Array;
}

/** More data than this in one chunk is refused. */
export const MAX_CHUNK_BYTES = 4 * 1024 * 1024;
/**
 * Data of a chunk that we send: whole pages of 4 KiB on disk, and with the envelope (at most 68 bytes, the gRPC prefix
 * included) one megabyte of frames.
 */
export const CHUNK_BYTES = 1024 * 1024 - 4096;

const SHA256_BYTES = 32;

/** Tags: field number x 8 + wire type. */
const TAG = { header: 0x0a, offset: 0x10, crc32: 0x1d, data: 0x22 } as const;
const HEADER_TAG = { size: 0x08, sha256: 0x12 } as const;
const WIRE = { varint: 0, fixed64: 1, lengthDelimited: 2, fixed32: 5 } as const;

/** A chunk with its checksum. */
export function makeChunk(offset: number, data: Uint8Array, header?: WireBlobHeader): WireChunk {
  return { header, offset, crc32: crc32(data), data };
}

/** @throws ClaraError `corrupt` when the data are not those that the sender computed the checksum of */
export function checkCrc(chunk: WireChunk): void {
  const actual = crc32(chunk.data);
  if (actual === chunk.crc32) return;
  throw new ClaraError(
    'corrupt',
    `chunk at offset ${chunk.offset} has crc32 ${hex(actual)} but announces ${hex(chunk.crc32)}; it changed on the way, send it once more`,
  );
}

/** More than the longest envelope: header 46 bytes, offset 10, checksum 5, tag and length of the data 6. */
const ENVELOPE_ROOM = 80;
/** Memory that has room for an envelope before the data. */
const roomy = new WeakSet<ArrayBufferLike>();

/**
 * Memory for the data of one chunk, with room before it: {@link encodeChunk} then writes the envelope there and copies
 * nothing. The memory belongs to that chunk until it is sent.
 */
export function allocateChunkData(length: number): Buffer {
  const whole = Buffer.allocUnsafeSlow(ENVELOPE_ROOM + length);
  roomy.add(whole.buffer);
  return whole.subarray(ENVELOPE_ROOM);
}

/** gRPC's length-prefixed message: a byte of flags (0: not compressed) and four of length, big-endian. */
const PREFIX_BYTES = 5;

/**
 * An encoded chunk with gRPC's prefix before it, in the room that {@link allocateChunkData} left; undefined for a message that
 * lies elsewhere.
 */
export function prefixInPlace(message: Buffer): Buffer | undefined {
  const begin = message.byteOffset - PREFIX_BYTES;
  if (begin < 0 || !roomy.has(message.buffer)) return undefined;
  const framed = Buffer.from(message.buffer, begin, PREFIX_BYTES + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  return framed;
}

/**
 * Like generated proto3 code, leaves out fields that are zero or empty.
 *
 * @throws ClaraError `invalid-input` for a chunk that {@link decodeChunk} would refuse
 */
export function encodeChunk(chunk: WireChunk): Buffer {
  const unsound = unsoundness(chunk);
  if (unsound !== undefined) throw new ClaraError('invalid-input', `chunk to send ${unsound}`);
  const { header, offset, crc32, data } = chunk;
  const headerLength = header === undefined ? 0 : headerBytes(header);

  const length =
    (header === undefined ? 0 : 1 + varintBytes(headerLength) + headerLength) +
    (offset === 0 ? 0 : 1 + varintBytes(offset)) +
    (crc32 === 0 ? 0 : 1 + 4) +
    (data.length === 0 ? 0 : 1 + varintBytes(data.length) + data.length);
  const inPlace = data.byteOffset === ENVELOPE_ROOM && roomy.has(data.buffer);
  const out = inPlace
    ? Buffer.from(data.buffer, ENVELOPE_ROOM - (length - data.length), length)
    : Buffer.allocUnsafe(length);
  let at = 0;
  if (header !== undefined) {
    out[at++] = TAG.header;
    at = writeVarint(out, at, headerLength);
    if (header.size !== 0) {
      out[at++] = HEADER_TAG.size;
      at = writeVarint(out, at, header.size);
    }
    out[at++] = HEADER_TAG.sha256;
    out[at++] = SHA256_BYTES;
    out.set(header.sha256, at);
    at += SHA256_BYTES;
  }
  if (offset !== 0) {
    out[at++] = TAG.offset;
    at = writeVarint(out, at, offset);
  }
  if (crc32 !== 0) {
    out[at++] = TAG.crc32;
    at = out.writeUInt32LE(crc32, at);
  }
  if (data.length !== 0) {
    out[at++] = TAG.data;
    at = writeVarint(out, at, data.length);
    if (!inPlace) out.set(data, at);
  }
  return out;
}

/**
 * `data` and `header.sha256` are views of `bytes`: whoever keeps them keeps all of it. Unknown fields are skipped; of a
 * repeated field the last counts. The checksum is not looked at, see {@link checkCrc}.
 *
 * @throws ClaraError `corrupt` for bytes that are not a chunk, or one beyond the limits
 */
export function decodeChunk(bytes: Buffer): WireChunk {
  const reader = new WireReader(bytes);
  let header: WireBlobHeader | undefined;
  let offset = 0;
  let crc32 = 0;
  let data: Uint8Array = bytes.subarray(0, 0);
  while (!reader.atEnd) {
    const tag = reader.varint();
    if (tag === TAG.header) header = decodeHeader(reader.lengthDelimited(), header);
    else if (tag === TAG.offset) offset = reader.varint();
    else if (tag === TAG.crc32) crc32 = reader.fixed32();
    else if (tag === TAG.data) data = reader.lengthDelimited();
    else reader.skip(tag);
  }
  const chunk = { header, offset, crc32, data };
  const unsound = unsoundness(chunk);
  if (unsound !== undefined) throw new ClaraError('corrupt', `chunk received ${unsound}`);
  return chunk;
}

/** A repeated message field merges into the one before. */
function decodeHeader(bytes: Buffer, before: WireBlobHeader | undefined): WireBlobHeader {
  const reader = new WireReader(bytes);
  let size = before?.size ?? 0;
  let sha256 = before?.sha256 ?? bytes.subarray(0, 0);
  while (!reader.atEnd) {
    const tag = reader.varint();
    if (tag === HEADER_TAG.size) size = reader.varint();
    else if (tag === HEADER_TAG.sha256) sha256 = reader.lengthDelimited();
    else reader.skip(tag);
  }
  return { size, sha256 };
}

/** The rule that a chunk breaks, in words, or undefined. */
function unsoundness({ header, offset, crc32, data }: WireChunk): string | undefined {
  const end = offset + data.length;
  if (data.length > MAX_CHUNK_BYTES) {
    return `carries ${data.length} bytes; send at most ${MAX_CHUNK_BYTES} in one chunk`;
  }
  if (!isCount(offset) || !isCount(end)) return `has the offset ${offset}, which is no byte offset below 2^53`;
  if (!isCount(crc32) || crc32 > 0xffffffff) return `has the crc32 ${crc32}, which is no unsigned 32-bit number`;
  if (header === undefined) return undefined;
  if (!isCount(header.size)) return `announces an object of ${header.size} bytes, which is no size below 2^53`;
  if (header.sha256.length !== SHA256_BYTES) {
    return `announces a sha256 of ${header.sha256.length} bytes; it has ${SHA256_BYTES}`;
  }
  if (end > header.size) return `ends at byte ${end} of an object of ${header.size} bytes`;
  return undefined;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function headerBytes(header: WireBlobHeader): number {
  return (header.size === 0 ? 0 : 1 + varintBytes(header.size)) + 2 + SHA256_BYTES;
}

function varintBytes(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}

function writeVarint(out: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out[at++] = (rest % 128) | 128;
  out[at++] = rest;
  return at;
}

/** Reads one message and never beyond it. */
class WireReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** Numbers of 2^53 and more are not exact: no count, offset or length of ours is so large, so they are refused. */
  varint(): number {
    let value = 0;
    let unit = 1;
    for (let length = 1; length <= 10; length++) {
      if (this.atEnd) throw this.#malformed('ends inside a number');
      const byte = this.#bytes[this.#at++];
      value += (byte & 127) * unit;
      unit *= 128;
      if (byte >= 128) continue;
      if (!Number.isSafeInteger(value)) throw this.#malformed('has a number of 2^53 or more');
      return value;
    }
    throw this.#malformed('has a number of more than 10 bytes');
  }

  fixed32(): number {
    return this.#take(4).readUInt32LE();
  }

  lengthDelimited(): Buffer {
    return this.#take(this.varint());
  }

  skip(tag: number): void {
    if (tag > 0xffffffff || tag < 8) throw this.#malformed(`has the impossible field tag ${tag}`);
    switch (tag % 8) {
      case WIRE.varint:
        this.#skipVarint();
        return;
      case WIRE.fixed64:
        this.#take(8);
        return;
      case WIRE.lengthDelimited:
        this.lengthDelimited();
        return;
      case WIRE.fixed32:
        this.#take(4);
        return;
      default:
        throw this.#malformed(`has a field of wire type ${tag % 8}, which this protocol never had`);
    }
  }

  /** Of an unknown field, a number may use all 64 bits. */
  #skipVarint(): void {
    for (let length = 1; length <= 10; length++) {
      if (this.#take(1)[0] < 128) return;
    }
    throw this.#malformed('has a number of more than 10 bytes');
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw this.#malformed(`ends inside a field of ${length} bytes`);
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  #malformed(what: string): ClaraError {
    return new ClaraError('corrupt', `chunk received ${what} at byte ${this.#at} of ${this.#bytes.length}`);
  }
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}
