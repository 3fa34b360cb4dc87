import { setTimeout } from 'node:timers/promises';

/** What a person can follow; a view costs the more, the longer the run. */
const BETWEEN_VIEWS_MILLIS = 100;

/** Wakes those who watch a run. Changes that come close together are told once. */
export class RunWatchers {
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #versions = new Map<string, number>();

  constructor(private readonly betweenMillis = BETWEEN_VIEWS_MILLIS) {}

  /** Something about the run has changed: its journal, or the progress of a site. */
  changed(run: string): void {
    this.#versions.set(run, this.#version(run) + 1);
    const waiting = this.#waiting.get(run);
    this.#waiting.delete(run);
    for (const wake of waiting ?? []) wake();
  }

  /** Yields at once, and then after every change, until the signal aborts. A slow reader skips changes, never queues them. */
  async *changes(run: string, signal: AbortSignal): AsyncGenerator<void> {
    let seen = -1;
    while (!signal.aborted) {
      if (seen === this.#version(run)) await this.#nextChange(run, signal);
      seen = this.#version(run);
      if (signal.aborted) return;
      yield;
      await setTimeout(this.betweenMillis, undefined, { signal }).catch(() => undefined);
    }
  }

  #version(run: string): number {
    return this.#versions.get(run) ?? 0;
  }

  #nextChange(run: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(run) ?? new Set();
      this.#waiting.set(run, waiting);
      const wake = (): void => {
        waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
