import path from 'node:path';
import { MessageChannel, type Worker } from 'node:worker_threads';
import { ClaraError } from '../base/errors';
import { ownThread } from '../base/own-program';
import { fromPortError } from './port/messages';
import { PortGateway, type PortGatewayOptions } from './port/port-gateway';
import type { FromThread, SiteThreadSettings, ToThread } from './site-thread-messages';

export interface SiteThreadsOptions extends Omit<PortGatewayOptions, 'onFailure'> {
  readonly settings: SiteThreadSettings;
  readonly threads: number;
  /** Of the start. */
  readonly signal: AbortSignal;
  readonly onProblem: (message: string) => void;
}

/** The threads that the sites live in, and their way to the coordinator. */
export class SiteThreads {
  readonly #threads: { readonly worker: Worker; readonly gateway: PortGateway; readonly ended: Promise<void> }[] = [];
  readonly #failure: Promise<never>;
  #fail: (error: ClaraError) => void = () => {};
  #stopping = false;

  private constructor(private readonly options: SiteThreadsOptions) {
    this.#failure = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.#failure.catch(() => undefined);
  }

  /** @returns when every site has its data @throws what a thread failed with */
  static async start(options: SiteThreadsOptions): Promise<SiteThreads> {
    const threads = new SiteThreads(options);
    const { sites } = options.settings;
    const count = Math.min(options.threads, sites.length);
    try {
      const ready = Array.from({ length: count }, (_, index) =>
        threads.#startThread(sites.filter((_, position) => position % count === index)),
      );
      await Promise.race([Promise.all(ready), threads.#failure, abortOf(options.signal)]);
      return threads;
    } catch (error) {
      await threads.stop();
      throw error;
    }
  }

  /** Rejects when a thread has failed. */
  get failed(): Promise<never> {
    return this.#failure;
  }

  /** Every site ends what it is at, and its thread ends. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { worker } of this.#threads) worker.postMessage({ kind: 'stop' } satisfies ToThread);
    await Promise.all(
      this.#threads.map(async ({ worker, gateway, ended }) => {
        await Promise.race([ended, deadline()]);
        await worker.terminate();
        gateway.close();
      }),
    );
  }

  async #startThread(sites: readonly string[]): Promise<void> {
    const { settings, handlers, callerOf, onProblem } = this.options;
    const { port1, port2 } = new MessageChannel();
    const gateway = new PortGateway(port1, {
      handlers,
      callerOf,
      onFailure: (thrown, method) => onProblem(`${method}: ${ClaraError.from(thrown).message}`),
    });
    const worker = ownThread(path.join(__dirname, 'site-thread'), { ...settings, sites, port: port2 }, [port2]);
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    this.#threads.push({ worker, gateway, ended });
    worker.once('error', (error) => this.#fail(ClaraError.from(error, 'a thread of sites died')));
    worker.once('exit', () => {
      if (!this.#stopping) this.#fail(new ClaraError('internal', 'a thread of sites has ended by itself'));
    });
    await new Promise<void>((resolve) => {
      worker.on('message', (message: FromThread) => {
        if (message.kind === 'ready') resolve();
        else if (message.kind === 'problem') onProblem(`${message.site}: ${message.message}`);
        else this.#fail(fromPortError(message.error));
      });
    });
  }
}

/** A trainer that computes hears no message until its step is over; then the thread is ended by force. */
const STOP_MILLIS = 5000;

function deadline(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, STOP_MILLIS).unref();
  });
}

/** Rejects with the signal's reason when it aborts. */
export function abortOf(signal: AbortSignal): Promise<never> {
  const stopped = new Promise<never>((_, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  stopped.catch(() => undefined);
  return stopped;
}
