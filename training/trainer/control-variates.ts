import { readTensors, writeTensors } from '../../federation/tensors/file';
import type { NetworkSpec } from '../engine/architecture';
import { tensorsOf, weightsOf } from '../engine/weights';

/** What a checkpoint must hold so that a task goes on to the same control variate. */
export interface ControlState {
  /** This site's control c_i in this task. */
  readonly own: Float32Array;
  /** Of the gradients so far in this task, before anything was added to them. */
  readonly gradientSum: Float64Array;
}

/**
 * SCAFFOLD (Karimireddy 2020, algorithm 1): every gradient has c - c_i added, so that a site's steps go where all sites want to
 * go. The new c_i is the mean of the task's own gradients; for plain SGD of one rate that is the paper's option II,
 * c_i - c + (x - y) / (K rate), and it says the same for any other optimiser.
 */
export class ControlVariates {
  readonly #correction: Float32Array;

  private constructor(
    readonly state: ControlState,
    all: Float32Array,
  ) {
    this.#correction = all.map((value, i) => value - state.own[i]);
  }

  /**
   * @param input the control variate of all sites; absent, it is zero
   * @param state of this task, interrupted, or as {@link stateForNextTask} gave it; zero without
   */
  static async open(
    spec: NetworkSpec,
    input: string | undefined,
    state: ControlState | undefined,
    signal: AbortSignal,
  ): Promise<ControlVariates> {
    const zero = (): Float32Array => new Float32Array(spec.parameterSpan);
    const all = input === undefined ? zero() : weightsOf(spec, (await readTensors(input, { signal })).tensors, input);
    return new ControlVariates(state ?? { own: zero(), gradientSum: new Float64Array(spec.parameterSpan) }, all);
  }

  /** Takes note of a step's gradients, then adds c - c_i to them. */
  correct(gradients: Float32Array): void {
    const { gradientSum } = this.state;
    for (let i = 0; i < gradients.length; i++) {
      gradientSum[i] += gradients[i];
      gradients[i] += this.#correction[i];
    }
  }

  /** Writes the new c_i. @param steps of the whole task */
  async write(file: string, spec: NetworkSpec, steps: number): Promise<void> {
    await writeTensors(file, tensorsOf(spec, meanGradients(this.state, steps)));
  }
}

/** A task that was finished leaves its new control; one that was not leaves the control that it had. */
export function stateForNextTask({ own, gradientSum }: ControlState, steps: number, finished: boolean): ControlState {
  return {
    own: finished ? meanGradients({ own, gradientSum }, steps) : own,
    gradientSum: new Float64Array(gradientSum.length),
  };
}

function meanGradients({ gradientSum }: ControlState, steps: number): Float32Array {
  return Float32Array.from(gradientSum, (sum) => sum / steps);
}
