import { prefixInPlace } from './chunk-codec';

/**
 * Memory for the bulk messages of grpc-js, used again. By itself grpc-js keeps every piece of a message that arrives, joins
 * them in fresh memory, and copies every message that leaves into fresh memory to put five bytes before it; a transfer then
 * costs two allocations of a mebibyte a chunk, and the garbage collector marks the whole heap every 64 MiB. Here pieces are
 * copied once, into memory that {@link releaseMessage} gives back, and a chunk that leaves gets its prefix where it lies.
 *
 * This reaches into grpc-js (pinned exactly), each place guarded: where a later version differs, everything works on as
 * grpc-js does it, and test/federation/grpc-memory.spec.ts fails.
 */

/** gRPC's length-prefixed message: one byte of flags, four of length, big-endian. */
const PREFIX_BYTES = 5;
/** Messages below this are left to grpc-js: they are rare or cheap. */
const BULK_BYTES = 64 * 1024;
/** One chunk with its envelope and prefix. Longer messages get memory of their own. */
const SLOT_BYTES = 1024 * 1024;
/** Free memory that is kept at most: what eight sites upload at once. */
const SLOTS_KEPT = 16;

const free: ArrayBuffer[] = [];
/** Memory that is with a message now. Weak, so that a message that nobody gives back is simply collected. */
const lent = new WeakSet<ArrayBufferLike>();

function memoryFor(bytes: number): Buffer {
  if (bytes > SLOT_BYTES) return Buffer.allocUnsafeSlow(bytes);
  const memory = free.pop() ?? Buffer.allocUnsafeSlow(SLOT_BYTES).buffer;
  lent.add(memory);
  return Buffer.from(memory, 0, bytes);
}

/**
 * Gives the memory of a received message back, by any view of it: nobody may read from the message after this. Harmless for
 * memory from elsewhere, and when said twice.
 */
export function releaseMessage({ buffer }: Uint8Array): void {
  if (!lent.delete(buffer) || free.length === SLOTS_KEPT) return;
  free.push(buffer as ArrayBuffer);
}

/** `StreamDecoder` of grpc-js: bytes of one call come in, whole messages with their prefix go out. */
interface StreamDecoder {
  readState: number;
  readonly readMessageSize: number;
  readonly readMessageRemaining: number;
  readonly readCompressFlag: Buffer;
  readonly readPartialSize: Buffer;
  write(data: Buffer): Buffer[];
}
type StreamDecoderClass = { new (limit: number): StreamDecoder; readonly prototype: StreamDecoder };
const DECODER_FIELDS = [
  'readState',
  'readMessageSize',
  'readMessageRemaining',
  'readCompressFlag',
  'readPartialSize',
] as const satisfies readonly (keyof StreamDecoder)[];

const NO_DATA = 0;
const READING_MESSAGE = 2;

/** A bulk message whose pieces are arriving: all of it, and how much is there. */
interface Arriving {
  readonly whole: Buffer;
  filled: number;
}

/** Gives decoders of this class the memory above. */
function assembleInPlace(decoder: StreamDecoderClass): void {
  const { prototype } = decoder;
  const original = prototype.write;
  const probe = new decoder(-1);
  if (typeof original !== 'function' || !DECODER_FIELDS.every((field) => field in probe)) return;
  const arriving = new WeakMap<StreamDecoder, Arriving>();

  prototype.write = function write(this: StreamDecoder, data: Buffer): Buffer[] {
    const messages: Buffer[] = [];
    let rest = data;
    for (;;) {
      const message = arriving.get(this);
      if (message) {
        const piece = Math.min(rest.length, message.whole.length - message.filled);
        rest.copy(message.whole, message.filled, 0, piece);
        message.filled += piece;
        rest = rest.subarray(piece);
        if (message.filled < message.whole.length) return messages;
        arriving.delete(this);
        this.readState = NO_DATA;
        messages.push(message.whole);
      }
      if (rest.length === 0) return messages;
      // The prefix of the next message is read by grpc-js, which also judges its length, and so are small messages.
      const step = this.readState === NO_DATA ? rest.subarray(0, PREFIX_BYTES) : rest;
      messages.push(...original.call(this, step));
      rest = rest.subarray(step.length);
      const begins = this.readState === READING_MESSAGE && this.readMessageRemaining === this.readMessageSize;
      if (!begins || this.readMessageSize < BULK_BYTES) continue;
      const whole = memoryFor(PREFIX_BYTES + this.readMessageSize);
      this.readCompressFlag.copy(whole, 0);
      this.readPartialSize.copy(whole, 1);
      arriving.set(this, { whole, filled: PREFIX_BYTES });
    }
  };
}

/** The server's side of a message that leaves. */
interface ServerCall {
  readonly handler: { serialize(value: unknown): Buffer };
  serializeMessage(this: Pick<ServerCall, 'handler'>, value: unknown): Buffer;
}

function prefixServerMessagesInPlace({ prototype }: { readonly prototype: ServerCall }): void {
  const original = prototype.serializeMessage;
  if (typeof original !== 'function') return;
  prototype.serializeMessage = function serializeMessage(value) {
    const message = this.handler.serialize(value);
    return prefixInPlace(message) ?? original.call({ handler: { serialize: () => message } }, value);
  };
}

/** The client's: what leaves uncompressed goes through the `IdentityHandler` of its compression filter. */
interface IdentityHandler {
  writeMessage(message: Buffer, compress: boolean): Promise<Buffer>;
}

function prefixClientMessagesInPlace(handler: IdentityHandler): void {
  const original = handler.writeMessage;
  if (typeof original !== 'function') return;
  handler.writeMessage = async function writeMessage(this: IdentityHandler, message, compress) {
    return prefixInPlace(message) ?? original.call(this, message, compress);
  };
}

/** A module inside grpc-js, or nothing when it is not there. */
function internal<Module>(name: string): Partial<Module> {
  try {
    return require(`@grpc/grpc-js/build/src/${name}`) as Module;
  } catch {
    return {};
  }
}

const { StreamDecoder } = internal<{ StreamDecoder: StreamDecoderClass }>('stream-decoder');
if (StreamDecoder) assembleInPlace(StreamDecoder);

const { BaseServerInterceptingCall } = internal<{ BaseServerInterceptingCall: { readonly prototype: ServerCall } }>(
  'server-interceptors',
);
if (BaseServerInterceptingCall) prefixServerMessagesInPlace(BaseServerInterceptingCall);

type CompressionFilterClass = new (options: object, shared: object) => { readonly sendCompression?: IdentityHandler };
const { CompressionFilter } = internal<{ CompressionFilter: CompressionFilterClass }>('compression-filter');
const identity = CompressionFilter && new CompressionFilter({}, {}).sendCompression;
if (identity) prefixClientMessagesInPlace(Object.getPrototypeOf(identity));
