import { create } from '@bufbuild/protobuf';
import type { Client } from '@grpc/grpc-js';
import { ClaraError } from '../base/errors';
import { Federation, SiteMessageSchema } from '../federation/gen/federation/v1/federation_pb';
import { fromServiceError } from '../federation/grpc-errors';
import { TASK_METADATA } from '../federation/protocol';
import { clientOf } from '../federation/services';
import { received, sender } from '../federation/stream-flow';
import type { CoordinatorClient } from './coordinator-client';

/** A short question that is not answered within this time is asked again. */
const QUESTION_MILLIS = 30_000;

/** The coordinator over an open channel; closing the client closes the channel. */
export function grpcCoordinatorClient(channel: Client): CoordinatorClient {
  const federation = clientOf(Federation, channel);
  const abandoned = new AbortController();
  const until = (signal: AbortSignal) => AbortSignal.any([signal, abandoned.signal]);
  let movedAt = 0;
  return {
    get movedAt() {
      return movedAt;
    },

    connect(signal) {
      const call = federation.connect({ signal: until(signal) });
      return {
        send: (message) => {
          // Few and small: what does not fit the window waits in memory until the connection is given up.
          if (call.writable) call.write(create(SiteMessageSchema, { message }));
        },
        messages: received(call),
      };
    },

    async *download(object, offset, signal) {
      const call = federation.download({ object, offset: BigInt(offset) }, { signal: until(signal) });
      for await (const chunk of received(call)) {
        movedAt = performance.now();
        yield chunk;
      }
    },

    async uploadStatus({ task, size, sha256 }, signal) {
      const request = { task, size: BigInt(size), sha256: Uint8Array.from(sha256) };
      const { durableBytes } = await federation.uploadStatus(request, {
        signal: until(signal),
        timeoutMillis: QUESTION_MILLIS,
      });
      return Number(durableBytes);
    },

    async upload(task, chunks, signal) {
      const { stream, reply } = federation.upload({ signal: until(signal), metadata: { [TASK_METADATA]: task } });
      // The reply may come before everything is sent; then it is the reason why sending failed.
      const answered = reply.then(
        ({ size, sha256 }) => ({ size: Number(size), sha256 }),
        (error: unknown) => Promise.reject(fromServiceError(error)),
      );
      answered.catch(() => undefined);
      const send = sender(stream);
      try {
        for await (const chunk of chunks) {
          await send(chunk);
          movedAt = performance.now();
        }
        stream.end();
      } catch (error) {
        stream.cancel();
        await answered;
        throw error;
      }
      return answered;
    },

    async renew(requestDer, signal) {
      const request = { csrDer: Uint8Array.from(requestDer) };
      const { chainPem, rootsPem } = await federation.renew(request, { signal, timeoutMillis: QUESTION_MILLIS });
      return { chainPem, rootsPem };
    },

    close: () => channel.close(),

    abandon() {
      abandoned.abort(new ClaraError('unavailable', 'the line to the coordinator was given up'));
      channel.close();
    },
  };
}
