import { openWork } from '../runs/going';
import { isNeeded, isOfLastRound, objectPrefixes, type RunObject, roundOfKey, runObjectOf } from '../runs/run-objects';
import type { RunState } from '../runs/run-state';
import type { ObjectStore } from '../storage/object-store';

/** Which updates stay when nothing needs them any more. Models and journals always stay. */
export const KEEP_UPDATES = ['none', 'last', 'all'] as const;
export type KeepUpdates = (typeof KEEP_UPDATES)[number];

export interface RetentionOptions {
  readonly store: ObjectStore;
  readonly keep: KeepUpdates;
  /** What could not be deleted now is tried again after the next change, and at the next start. */
  readonly onFailure: (error: unknown) => void;
}

/** True when the rule lets go of this object, whenever and however often it is asked. */
export function isDisposable(state: RunState, object: RunObject, keep: KeepUpdates): boolean {
  if (keep === 'all' || isNeeded(state, object)) return false;
  return object.kind !== 'update' || keep === 'none' || !isOfLastRound(state, object.stage);
}

/**
 * Deletes updates, moments and control variates that a run has done with. What goes follows from the journal alone, and only after the event that
 * made it superfluous is durable: a crash at any moment leaves at most something that the next start deletes.
 */
export class Retention {
  /** What was true of a run when it was last tidied. */
  readonly #tidied = new Map<string, string>();
  /** By prefix: up to this key is nothing that will ever be deleted. A long run would else be listed whole after each round. */
  readonly #settledUpTo = new Map<string, string>();
  #tail: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(private readonly options: RetentionOptions) {}

  /** Tidies the run, if something has become superfluous, after all runs before it. */
  runChanged(state: RunState): void {
    if (this.options.keep === 'all') return;
    const mark = markOf(state);
    if (this.#tidied.get(state.run) === mark) return;
    this.#tidied.set(state.run, mark);
    this.#tail = this.#tail
      .then(() => this.#tidy(state))
      .catch((error: unknown) => {
        this.#tidied.delete(state.run);
        this.options.onFailure(error);
      });
  }

  /** Tidies a run that is over once more: what was being made of it may have come after the last look. */
  workStopped(state: RunState): void {
    this.#tidied.delete(state.run);
    this.runChanged(state);
  }

  /** Resolves when nothing is being deleted. */
  async settled(): Promise<void> {
    await this.#tail;
  }

  async close(): Promise<void> {
    this.#stopped = true;
    await this.#tail;
  }

  async #tidy(state: RunState): Promise<void> {
    const { store, keep } = this.options;
    // Into the rounds from this one on, sites may still deliver.
    const openFrom = Math.min(state.models.length - 1, ...openWork(state).map(({ stage }) => stage.round));
    for (const prefix of objectPrefixes(state.run)) {
      // Once the run is over, everything is looked at once more: what arrived when nobody expected it goes now.
      let settled = state.outcome ? undefined : this.#settledUpTo.get(prefix);
      let allSettled = true;
      for await (const { key } of store.list(prefix, settled === undefined ? {} : { after: settled })) {
        if (this.#stopped) return;
        const object = runObjectOf(state.run, key);
        const disposable = object !== undefined && isDisposable(state, object, keep);
        if (disposable) await store.delete(key);
        allSettled &&= (disposable || object === undefined) && roundOfKey(state.run, key) < openFrom;
        if (allSettled) settled = key;
      }
      if (settled === undefined || state.outcome) this.#settledUpTo.delete(prefix);
      else this.#settledUpTo.set(prefix, settled);
    }
  }
}

/** Changes when something may have become superfluous. */
function markOf(state: RunState): string {
  const alone = state.closed.filter(({ stage }) => stage.kind === 'train-alone').length;
  return `${state.models.length} models, ${alone} alone, ${state.outcome?.kind ?? 'open'}`;
}
