import { ClaraError } from '../../base/errors';
import type { NetworkSpec, ParameterSpec } from '../engine/architecture';
import type { Weights } from '../engine/weights';
import { parametersNamed } from './named-tensors';

/**
 * Tensors that a task leaves alone. Their gradients are cleared before the optimiser sees them, so that they leave no trace in
 * its moments; and since moments of earlier rounds, or a control variate, could still move them, each step puts their values
 * back: they stay the same to the last bit whatever the optimiser is.
 */
export class FrozenTensors {
  readonly #frozen: readonly ParameterSpec[];

  /** @throws ClaraError invalid-input when a pattern matches nothing, or nothing is left to train */
  constructor(
    spec: NetworkSpec,
    patterns: readonly string[],
    private readonly start: Weights,
  ) {
    this.#frozen = parametersNamed(spec, patterns, 'frozen');
    if (this.#frozen.length === spec.parameters.length) {
      throw new ClaraError('invalid-input', 'the task freezes every tensor of the network; nothing is left to train');
    }
  }

  clearGradients(gradients: Weights): void {
    for (const { offset, count } of this.#frozen) gradients.fill(0, offset, offset + count);
  }

  restore(weights: Weights): void {
    for (const { offset, count } of this.#frozen) {
      weights.set(this.start.subarray(offset, offset + count), offset);
    }
  }
}
