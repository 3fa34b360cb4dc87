import type { DescMethod } from '@bufbuild/protobuf';
import { ClaraError, hasCode } from '../../base/errors';
import type { CallContext, ServiceHandlers } from '../../federation/service-handlers';
import type { AnyService } from '../../federation/services';

/** The service of whoever leads now, and a signal that aborts when they do not any more. */
export interface Led<S extends AnyService, Caller> {
  readonly handlers: ServiceHandlers<S, Caller>;
  readonly ended: AbortSignal;
}

type AnyHandler = (input: unknown, context: CallContext<unknown>, call?: unknown) => unknown;

/**
 * Handlers that pass every call to the present term. A call that is caught by the end of its term fails with `unavailable`,
 * whatever it failed with inside, so that the caller asks again where somebody leads.
 *
 * @param current throws ClaraError `unavailable` while this coordinator does not lead
 */
export function leaderHandlers<S extends AnyService, Caller>(
  service: S,
  current: () => Led<S, Caller>,
): ServiceHandlers<S, Caller> {
  const entries = Object.entries<DescMethod>(service.method).map(([name, { methodKind }]) => {
    const begin = () => {
      const { handlers, ended } = current();
      return { handler: (handlers as unknown as Record<string, AnyHandler>)[name]!, ended };
    };
    return [name, methodKind === 'server_streaming' ? streamed(begin) : answered(begin)];
  });
  return Object.fromEntries(entries) as ServiceHandlers<S, Caller>;
}

type Begin = () => { readonly handler: AnyHandler; readonly ended: AbortSignal };

function answered(begin: Begin): AnyHandler {
  return async (input, context, call) => {
    const { handler, ended } = begin();
    try {
      return await handler(input, within(context, ended), call);
    } catch (error) {
      throw ended.aborted ? becauseEnded(ended, error) : error;
    }
  };
}

function streamed(begin: Begin): AnyHandler {
  return async function* (input, context) {
    const { handler, ended } = begin();
    try {
      yield* handler(input, within(context, ended)) as AsyncIterable<unknown>;
    } catch (error) {
      throw ended.aborted ? becauseEnded(ended, error) : error;
    }
    // What ends with the term is not complete.
    if (ended.aborted) throw becauseEnded(ended);
  };
}

function within(context: CallContext<unknown>, ended: AbortSignal): CallContext<unknown> {
  return { ...context, signal: AbortSignal.any([context.signal, ended]) };
}

function becauseEnded({ reason }: AbortSignal, cause?: unknown): ClaraError {
  if (hasCode(cause, 'unavailable')) return cause;
  const message = reason instanceof Error ? reason.message : 'this coordinator does not lead any more; ask again';
  return new ClaraError('unavailable', message, { cause });
}
