import type { EventEmitter } from 'node:events';
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import type { GenService, GenServiceMethods } from '@bufbuild/protobuf/codegenv2';
import {
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  type CallOptions as GrpcCallOptions,
  Metadata,
} from '@grpc/grpc-js';
import { decodeChunk, encodeChunk, type WireChunk } from './chunk-codec';
import { ChunkSchema } from './gen/federation/v1/federation_pb';
import { fromServiceError } from './grpc-errors';
import './grpc-memory';
import { rememberFailure } from './stream-flow';

/**
 * The services of `federation.v1` for grpc-js, straight from the generated descriptors: paths, streaming flags,
 * serialisers and types. Chunks go through the hand-written codec, everything else through protobuf-es.
 */

export type AnyService = GenService<GenServiceMethods>;
export type MethodsOf<S extends AnyService> = S['method'];

/** What may be sent: an init object, or a message. */
export type Sent<M extends DescMessage> = M extends typeof ChunkSchema ? WireChunk : MessageInitShape<M>;
/** What arrives. */
export type Received<M extends DescMessage> = M extends typeof ChunkSchema ? WireChunk : MessageShape<M>;

export interface WireMethod<I extends DescMessage, O extends DescMessage> {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (message: Sent<I>) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Received<I>;
  readonly responseSerialize: (message: Sent<O>) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Received<O>;
}

export type WireMethods<S extends AnyService> = {
  readonly [K in keyof MethodsOf<S>]: WireMethod<MethodsOf<S>[K]['input'], MethodsOf<S>[K]['output']>;
};

/** A service definition as `grpc.Server.addService` takes it. */
export function wireMethods<S extends AnyService>(service: S): WireMethods<S> {
  const entries = Object.entries<DescMethod>(service.method).map(([name, method]) => [
    name,
    wireMethod(service as unknown as { typeName: string }, method),
  ]);
  return Object.fromEntries(entries) as WireMethods<S>;
}

function wireMethod(service: { typeName: string }, method: DescMethod): WireMethod<DescMessage, DescMessage> {
  const request = codecOf(method.input);
  const response = codecOf(method.output);
  return {
    path: `/${service.typeName}/${method.name}`,
    requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
    responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
    requestSerialize: request.encode,
    requestDeserialize: request.decode,
    responseSerialize: response.encode,
    responseDeserialize: response.decode,
  };
}

interface Codec {
  readonly encode: (message: Sent<DescMessage>) => Buffer;
  readonly decode: (bytes: Buffer) => Received<DescMessage>;
}

const CHUNK_CODEC = { encode: encodeChunk, decode: decodeChunk } as unknown as Codec;

function codecOf(schema: DescMessage): Codec {
  if (schema.typeName === ChunkSchema.typeName) return CHUNK_CODEC;
  return {
    encode: (message) => {
      const bytes = toBinary(schema, create(schema, message));
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    decode: (bytes) => fromBinary(schema, bytes),
  };
}

export interface CallOptions {
  /** Cancels the call. */
  readonly signal?: AbortSignal;
  /** The call fails with `deadline-exceeded` after this long. @default none */
  readonly timeoutMillis?: number;
  /** Request metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A client-streaming call: messages go to `stream`; `reply` settles when the server has answered, early or not. */
export interface UploadCall<I extends DescMessage, O extends DescMessage> {
  readonly stream: ClientWritableStream<Sent<I>>;
  readonly reply: Promise<Received<O>>;
}

type ClientMethod<M extends DescMethod> = M['methodKind'] extends 'unary'
  ? (request: Sent<M['input']>, options?: CallOptions) => Promise<Received<M['output']>>
  : M['methodKind'] extends 'server_streaming'
    ? (request: Sent<M['input']>, options?: CallOptions) => ClientReadableStream<Received<M['output']>>
    : M['methodKind'] extends 'client_streaming'
      ? (options?: CallOptions) => UploadCall<M['input'], M['output']>
      : (options?: CallOptions) => ClientDuplexStream<Sent<M['input']>, Received<M['output']>>;

/**
 * Promises of unary calls reject with a ClaraError. Streams are those of grpc-js, whose `error` is a ServiceError: read
 * them through `received()` and write them through `sender()` of stream-flow.ts, which speak the error family.
 */
export type ServiceClient<S extends AnyService> = { readonly [K in keyof MethodsOf<S>]: ClientMethod<MethodsOf<S>[K]> };

/** Typed calls of one service over an open channel; several services may share a channel. */
export function clientOf<S extends AnyService>(service: S, channel: Client): ServiceClient<S> {
  const methods = wireMethods(service as AnyService);
  const calls = Object.entries(methods).map(([name, method]) => [name, callOf(method, channel)]);
  return Object.fromEntries(calls) as ServiceClient<S>;
}

function callOf(method: WireMethod<DescMessage, DescMessage>, channel: Client): unknown {
  const { path, requestSerialize: encode, responseDeserialize: decode } = method;
  if (method.requestStream && method.responseStream) {
    return (options: CallOptions = {}) =>
      cancellable(
        channel.makeBidiStreamRequest(path, encode, decode, metadataOf(options), grpcOptions(options)),
        options,
      );
  }
  if (method.responseStream) {
    return (request: Sent<DescMessage>, options: CallOptions = {}) =>
      cancellable(
        channel.makeServerStreamRequest(path, encode, decode, request, metadataOf(options), grpcOptions(options)),
        options,
      );
  }
  if (method.requestStream) {
    return (options: CallOptions = {}): UploadCall<DescMessage, DescMessage> => {
      const { promise, settle } = deferred<Received<DescMessage>>();
      const call = channel.makeClientStreamRequest(
        path,
        encode,
        decode,
        metadataOf(options),
        grpcOptions(options),
        settle,
      );
      return { stream: cancellable(call, options), reply: promise };
    };
  }
  return (request: Sent<DescMessage>, options: CallOptions = {}) => {
    const { promise, settle } = deferred<Received<DescMessage>>();
    const call = channel.makeUnaryRequest(
      path,
      encode,
      decode,
      request,
      metadataOf(options),
      grpcOptions(options),
      settle,
    );
    cancellable(call, options);
    return promise;
  };
}

interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly settle: (error: unknown, value?: T) => void;
}

function deferred<T>(): Deferred<T> {
  let settle: Deferred<T>['settle'] = () => {};
  const promise = new Promise<T>((resolve, reject) => {
    settle = (error, value) => (error || value === undefined ? reject(fromServiceError(error)) : resolve(value));
  });
  // Whoever is still writing looks at the reply later; until then its failure is not a defect of the program.
  promise.catch(() => {});
  return { promise, settle };
}

function metadataOf({ metadata: entries = {} }: CallOptions): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(entries)) metadata.set(key, value);
  return metadata;
}

function grpcOptions({ timeoutMillis }: CallOptions): GrpcCallOptions {
  return timeoutMillis === undefined ? {} : { deadline: Date.now() + timeoutMillis };
}

type RunningCall = EventEmitter & { cancel(): void };

function cancellable<C extends RunningCall>(call: C, { signal }: CallOptions): C {
  rememberFailure(call);
  if (!signal) return call;
  const cancel = () => call.cancel();
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel, { once: true });
  call.once('status', () => signal.removeEventListener('abort', cancel));
  return call;
}
