import type { EventEmitter } from 'node:events';
import type { Writable } from 'node:stream';
import { ClaraError } from '../base/errors';
import { fromServiceError } from './grpc-errors';

/** Message streams as async code sees them: bounded writing, reading in the words of the error family. */

/**
 * Messages that may wait in the stream before the writer waits. Object-mode streams would take 16, which at one mebibyte a
 * chunk and eight sites is 128 MiB of memory for nothing.
 */
export const AHEAD = 3;

/**
 * A function that writes one message and answers when the stream has room for another, so that a slow reader at the other
 * end bounds the memory here. One sender per stream; await each send before the next.
 * @throws ClaraError `cancelled` when the stream ended under the writer; the call itself says why
 */
export function sender<T>(stream: Writable): (message: T) => Promise<void> {
  let waiting = 0;
  let ended = false;
  let wake = (): void => {};
  const end = (): void => {
    ended = true;
    wake();
  };
  // `status` is the last event of a client's call, `cancelled` that of a server's; `close` and `error` are node's own.
  for (const event of ['close', 'error', 'status', 'cancelled']) stream.once(event, end);
  const written = (): void => {
    waiting--;
    wake();
  };
  return async (message) => {
    if (!ended && !stream.destroyed) {
      waiting++;
      stream.write(message, written);
      while (waiting > AHEAD && !ended) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    if (ended || stream.destroyed) throw new ClaraError('cancelled', 'the call ended before everything was sent');
  };
}

/**
 * How calls failed. grpc-js emits an error once and ends the stream like one that is complete, so that whoever starts to
 * read later would never know.
 */
const failures = new WeakMap<object, unknown>();

/** Keeps the failure of a client's call for {@link received}, and a call that nobody reads from ending the process. */
export function rememberFailure(call: EventEmitter): void {
  call.on('error', (error) => failures.set(call, error));
}

/**
 * The messages of a client's call; its failure is thrown as a ClaraError with the server's sentence. Leaving the loop early
 * cancels the call.
 */
export async function* received<T>(call: AsyncIterable<T> & { cancel(): void }): AsyncGenerator<T, void, undefined> {
  let over = false;
  try {
    yield* call;
    over = true;
  } catch (error) {
    over = true;
    throw fromServiceError(error);
  } finally {
    if (!over) call.cancel();
  }
  if (failures.has(call)) throw fromServiceError(failures.get(call));
}
