import type { RunState } from '../fl-coordinator/runs/run-state';

export interface RunChange {
  /** Grows with each change of a run. */
  readonly number: number;
  readonly isOver: boolean;
}

interface Known extends RunChange {
  readonly mark: string;
}

/** Tells when something has happened to a run that its view shows for good. A slow reader skips changes. */
export class RunChanges {
  readonly #known = new Map<string, Known>();
  readonly #waiting = new Map<string, Set<() => void>>();

  changed({ run, closed, models, outcome }: RunState): void {
    const mark = `${closed.length} ${models.length} ${outcome?.kind}`;
    const before = this.#known.get(run);
    if (before?.mark === mark) return;
    this.#known.set(run, { mark, number: (before?.number ?? 0) + 1, isOver: outcome !== undefined });
    const waiting = this.#waiting.get(run);
    this.#waiting.delete(run);
    for (const wake of waiting ?? []) wake();
  }

  /** The newest change of a run behind that number, when there is one. */
  async after(run: string, number: number): Promise<RunChange> {
    for (;;) {
      const known = this.#known.get(run);
      if (known && known.number > number) return known;
      await new Promise<void>((resolve) => {
        const waiting = this.#waiting.get(run) ?? new Set();
        this.#waiting.set(run, waiting.add(resolve));
      });
    }
  }
}
