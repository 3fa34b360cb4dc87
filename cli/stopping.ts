import { ClaraError } from '../base/errors';

/**
 * A signal that aborts on Ctrl-C or SIGTERM, so that a service ends in order; a second one ends the process at once.
 * With `parentPipe`, the end of stdin counts as well: a child whose parent was killed does not stay behind.
 */
export function stopSignal(options: { readonly parentPipe?: boolean | undefined } = {}): AbortSignal {
  const controller = new AbortController();
  const stop = (reason: string): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new ClaraError('cancelled', reason));
  };
  process.on('SIGINT', () => stop('interrupted'));
  process.on('SIGTERM', () => stop('terminated'));
  if (options.parentPipe) {
    process.stdin.resume();
    // Watching must not keep a service alive that has nothing else to do.
    if ('unref' in process.stdin) process.stdin.unref();
    process.stdin.once('end', () => stop('the parent process has ended'));
    process.stdin.once('error', () => stop('the parent process has ended'));
  }
  return controller.signal;
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
