import { showBytes } from '../../base/show-bytes';
import type { Budget } from '../../federation/course';
import { counted } from '../terminal';

export interface Cost {
  readonly rounds: number;
  /** Of models, in both directions. */
  readonly bytes: number;
}

/**
 * What a search has spent and what its running trials may still spend. A trial is begun only when the budget holds it whole:
 * the bytes of a trial that has not ended are taken for those of the dearest round so far, times its rounds.
 */
export class Purse {
  /** Of trials that have ended, by run. */
  readonly #spent = new Map<string, Cost>();
  /** Rounds of trials that go on, by run. */
  readonly #reserved = new Map<string, number>();
  #bytesARound = 0;

  constructor(private readonly budget: Budget = {}) {}

  /** A trial has begun. */
  reserve(run: string, rounds: number): void {
    if (!this.#spent.has(run)) this.#reserved.set(run, rounds);
  }

  /** A trial has ended. */
  settle(run: string, cost: Cost): void {
    this.#reserved.delete(run);
    this.#spent.set(run, cost);
    if (cost.rounds > 0) this.#bytesARound = Math.max(this.#bytesARound, cost.bytes / cost.rounds);
  }

  /** A trial that goes on may yet leave more of the budget than was set aside for it. */
  get waits(): boolean {
    return this.#reserved.size > 0;
  }

  get spent(): Cost {
    const all = [...this.#spent.values()];
    return {
      rounds: all.reduce((sum, { rounds }) => sum + rounds, 0),
      bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
    };
  }

  /**
   * Why a trial of so many rounds is not begun now; undefined when it may be.
   * @param elapsedMillis since the first trial was submitted
   */
  refusal(rounds: number, elapsedMillis: number): string | undefined {
    const { rounds: mostRounds, bytes: mostBytes, wallTime } = this.budget;
    const { spent } = this;
    const inRounds = spent.rounds + [...this.#reserved.values()].reduce((sum, reserved) => sum + reserved, 0);
    if (mostRounds !== undefined && inRounds + rounds > mostRounds) {
      return `${inRounds} rounds are spent or begun, and ${counted(rounds, 'more round')} would exceed the budget of ${mostRounds}`;
    }
    if (mostBytes !== undefined) {
      // Nothing is known of the size of a model before the first trial has ended: it is alone.
      if (this.#bytesARound === 0 && this.waits) return 'the first trial tells what a round moves';
      const next = this.#bytesARound * rounds;
      const begun = spent.bytes + this.#bytesARound * (inRounds - spent.rounds);
      if (begun + Math.max(next, 1) > mostBytes) {
        return `${showBytes(begun)} have moved or will, and another ${showBytes(next)} would exceed the budget of ${showBytes(mostBytes)}`;
      }
    }
    if (wallTime !== undefined && elapsedMillis >= wallTime) {
      return `the search has taken ${Math.round(elapsedMillis / 1000)} s, and the budget is ${wallTime / 1000} s`;
    }
    return undefined;
  }
}
