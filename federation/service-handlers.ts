import type { Readable } from 'node:stream';
import type { DescMessage, DescMethod } from '@bufbuild/protobuf';
import type {
  Metadata,
  Server,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  sendUnaryData,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ClaraError } from '../base/errors';
import { toServiceError } from './grpc-errors';
import { type AnyService, type MethodsOf, type Received, type Sent, wireMethods } from './services';
import { sender } from './stream-flow';

/** The serving side of services.ts: handlers are plain async functions; whatever they throw reaches the client as one sentence. */

/** Any of the four kinds of call of grpc-js, seen from the server. */
export type ServerCall = ServerUnaryCall<unknown, unknown> | ServerDuplexStream<unknown, unknown>;

export interface CallContext<Caller> {
  /** What {@link ServeOptions.admit} answered. */
  readonly caller: Caller;
  /** Aborted when the client has gone or cancelled. */
  readonly signal: AbortSignal;
  readonly metadata: Metadata;
  /** Address and port of the other end. */
  readonly peer: string;
}

type Handler<M extends DescMethod, Caller> = M['methodKind'] extends 'unary'
  ? (request: Received<M['input']>, context: CallContext<Caller>) => Promise<Sent<M['output']>>
  : M['methodKind'] extends 'server_streaming'
    ? (request: Received<M['input']>, context: CallContext<Caller>) => AsyncIterable<Sent<M['output']>>
    : M['methodKind'] extends 'client_streaming'
      ? (messages: AsyncIterable<Received<M['input']>>, context: CallContext<Caller>) => Promise<Sent<M['output']>>
      : (
          messages: AsyncIterable<Received<M['input']>>,
          context: CallContext<Caller>,
          /** Write with `call.write`, or with `sender(call)` under back-pressure; the call ends when the promise settles. */
          call: ServerWritableStream<unknown, Sent<M['output']>>,
        ) => Promise<void>;

export type ServiceHandlers<S extends AnyService, Caller> = {
  readonly [K in keyof MethodsOf<S>]: Handler<MethodsOf<S>[K], Caller>;
};

export interface ServeOptions<S extends AnyService, Caller> {
  /** Runs before each call: authenticates and authorises, or throws what the client is told. */
  readonly admit: (call: ServerCall, method: keyof MethodsOf<S> & string) => Caller | Promise<Caller>;
  /** Told of everything thrown, before the client is; the place to log. Not of calls whose client has gone. */
  readonly onFailure?: (thrown: unknown, method: keyof MethodsOf<S> & string) => void;
}

/** Adds a service to a server. */
export function serve<S extends AnyService, Caller>(
  server: Server,
  service: S,
  handlers: ServiceHandlers<S, Caller>,
  options: ServeOptions<S, Caller>,
): void {
  const implementation: UntypedServiceImplementation = {};
  for (const name of Object.keys(service.method) as (keyof MethodsOf<S> & string)[]) {
    const kind = (service.method[name] as DescMethod).methodKind;
    implementation[name] = adapt(kind, handlers[name] as AnyHandler<Caller>, name, options) as never;
  }
  const methods = Object.entries(wireMethods(service as AnyService)).map(([name, method]) => [
    name,
    withReasons(method),
  ]);
  server.addService(Object.fromEntries(methods) as ServiceDefinition, implementation);
}

/** A message that is none; the reason is thrown where the message is read, so that the client is told. */
class Unreadable {
  constructor(readonly reason: ClaraError) {}
}

/** Of a message that cannot be decoded, grpc-js would tell no more than that. */
function withReasons<M extends { readonly requestDeserialize: (bytes: Buffer) => unknown }>(method: M): M {
  const requestDeserialize = (bytes: Buffer): unknown => {
    try {
      return method.requestDeserialize(bytes);
    } catch (error) {
      if (error instanceof ClaraError) return new Unreadable(error);
      const rule =
        'is no message of this method; use a program of this release, or look for what changes bytes on the way';
      return new Unreadable(
        new ClaraError('invalid-input', `a message of ${bytes.length} bytes ${rule}`, { cause: error }),
      );
    }
  };
  return { ...method, requestDeserialize };
}

function readable(message: unknown): unknown {
  if (message instanceof Unreadable) throw message.reason;
  return message;
}

type AnyHandler<Caller> = (input: unknown, context: CallContext<Caller>, call?: unknown) => unknown;
type Reply = sendUnaryData<Sent<DescMessage>>;

function adapt<S extends AnyService, Caller>(
  kind: DescMethod['methodKind'],
  handler: AnyHandler<Caller>,
  name: keyof MethodsOf<S> & string,
  options: ServeOptions<S, Caller>,
): unknown {
  const contextOf = async (call: ServerCall): Promise<CallContext<Caller>> => {
    const signal = signalOf(call);
    return { caller: await options.admit(call, name), signal, metadata: call.metadata, peer: call.getPeer() };
  };
  const failed = (thrown: unknown, call: { cancelled: boolean }): ReturnType<typeof toServiceError> => {
    if (!call.cancelled) options.onFailure?.(thrown, name);
    return toServiceError(thrown);
  };
  if (kind === 'unary' || kind === 'client_streaming') {
    return (call: ServerUnaryCall<unknown, unknown> & ServerReadableStream<unknown, unknown>, reply: Reply) => {
      const answer = async () => {
        const context = await contextOf(call as ServerCall);
        return handler(kind === 'unary' ? readable(call.request) : messagesOf(call), context);
      };
      answer().then(
        (message) => reply(null, message as Sent<DescMessage>),
        (thrown) => reply(failed(thrown, call)),
      );
    };
  }
  return (call: ServerWritableStream<unknown, unknown> & ServerDuplexStream<unknown, unknown>) => {
    // A failing transport also emits an error here; the context's signal tells the handler.
    call.on('error', () => {});
    const answer = async (): Promise<void> => {
      const context = await contextOf(call as ServerCall);
      if (kind === 'bidi_streaming') {
        await handler(messagesOf(call), context, call);
        return;
      }
      const send = sender(call);
      for await (const message of handler(readable(call.request), context) as AsyncIterable<unknown>)
        await send(message);
    };
    answer().then(
      () => call.end(),
      (thrown) => {
        const error = failed(thrown, call);
        if (!call.cancelled) call.emit('error', error);
      },
    );
  };
}

/**
 * What the client sends, until either side has ended the call. Leaving the loop, or its end, must not destroy the stream:
 * the answer or the status has yet to be written. A broken connection may look like an end, so what is incomplete must be
 * told by its content.
 * @throws ClaraError `cancelled` when the client is known to have gone or cancelled
 */
async function* messagesOf(call: Readable & { cancelled: boolean; writableEnded?: boolean }): AsyncGenerator<unknown> {
  try {
    for await (const message of call.iterator({ destroyOnReturn: false })) yield readable(message);
  } catch (error) {
    if (error instanceof ClaraError) throw error;
    if (call.writableEnded) return;
    throw call.cancelled ? new ClaraError('cancelled', 'the client has gone', { cause: error }) : error;
  }
}

function signalOf(call: ServerCall): AbortSignal {
  const controller = new AbortController();
  if (call.cancelled) controller.abort();
  call.once('cancelled', () => controller.abort());
  return controller.signal;
}
