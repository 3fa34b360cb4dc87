import { setImmediate } from 'node:timers/promises';

export interface Interruptible {
  readonly signal?: AbortSignal;
}

/** Lets the event loop have a turn between two pieces of work. @throws the reason of an aborted signal */
export async function breathe({ signal }: Interruptible): Promise<void> {
  await setImmediate();
  signal?.throwIfAborted();
}
