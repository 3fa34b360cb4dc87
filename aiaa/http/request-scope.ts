import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ClaraError } from '../../base/errors';
import type { Scratch } from '../storage/scratch';

/** What belongs to one request and ends with it. */
export class RequestScope {
  /** For the log and for the answer to an internal error. */
  readonly id = randomUUID();
  private readonly control = new AbortController();
  private made: Promise<string> | undefined;
  private readonly timers: NodeJS.Timeout[] = [];

  constructor(
    private readonly scratch: Scratch,
    outgoing: ServerResponse,
  ) {
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) this.control.abort(new ClaraError('cancelled', 'The client has left.'));
    });
  }

  /** Aborted when the client leaves before it has the whole answer. */
  get signal(): AbortSignal {
    return this.control.signal;
  }

  /** A folder for this request's files, made on first use. */
  folder(): Promise<string> {
    this.made ??= this.scratch.folder();
    return this.made;
  }

  /** Does something again and again while the request lasts. What fails is left to the next time. */
  repeat(everyMs: number, work: () => Promise<unknown>): void {
    this.timers.push(setInterval(() => work().catch(() => {}), everyMs));
  }

  /** Removes the folder and everything in it. */
  async end(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    const folder = await this.made?.catch(() => undefined);
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Reads the rest of a request's body and throws it away. Clients read the answer only after they have sent everything; one
 * that finds the connection closed meanwhile shows "broken pipe" instead of our sentence.
 *
 * @returns whether the whole body has arrived; if not, the connection must be closed after the answer
 */
export function discardBody(incoming: IncomingMessage, timeoutMs: number): Promise<boolean> {
  if (incoming.complete || incoming.destroyed) {
    incoming.resume();
    return Promise.resolve(incoming.complete);
  }
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      incoming.off('end', finish).off('close', finish).off('error', finish);
      resolve(incoming.complete);
    };
    const timer = setTimeout(finish, timeoutMs);
    incoming.once('end', finish).once('close', finish).once('error', finish);
    incoming.resume();
  });
}
