import type { Pointer } from './kernels';
import type { UNet } from './unet';

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/** What Adam remembers between steps. */
export interface AdamMoments {
  /** Running means of the gradients and of their squares, laid out like the weights. */
  readonly first: Float32Array;
  readonly second: Float32Array;
  /** Steps taken so far. */
  readonly steps: number;
}

/** Moves the weights of a network that was made for learning. */
export interface Optimiser {
  /** Moves the weights against their gradients and clears the gradients for the next step. */
  step(rate: number): void;
  /** A copy of what it remembers between steps; nothing when each step is like the first. */
  moments(): AdamMoments | undefined;
}

/** Plain gradient descent: w <- w - rate g, each product and difference rounded to float32. */
export class Sgd implements Optimiser {
  constructor(private readonly net: UNet) {}

  step(rate: number): void {
    const { weights, weightGradients } = this.net;
    const length = Math.fround(rate);
    for (let i = 0; i < weights.length; i++) weights[i] -= Math.fround(length * weightGradients[i]);
    weightGradients.fill(0);
  }

  moments(): undefined {
    return undefined;
  }
}

/** Adam (Kingma and Ba 2015) on all weights of a network that was made for learning. */
export class Adam implements Optimiser {
  readonly #net: UNet;
  readonly #first: Pointer;
  readonly #second: Pointer;
  #steps = 0;

  /** @param from moments to go on from; without them the first step is the very first */
  constructor(net: UNet, from?: AdamMoments) {
    this.#net = net;
    this.#first = net.memory.reserve(net.spec.parameterSpan);
    this.#second = net.memory.reserve(net.spec.parameterSpan);
    if (from === undefined) return;
    this.#view(this.#first).set(from.first);
    this.#view(this.#second).set(from.second);
    this.#steps = from.steps;
  }

  step(rate: number): void {
    this.#steps++;
    const net = this.#net;
    net.memory.kernels.adam(
      net.weightsPointer,
      net.weightGradientsPointer,
      this.#first,
      this.#second,
      net.spec.parameterSpan,
      rate,
      BETA1,
      BETA2,
      EPSILON,
      1 - BETA1 ** this.#steps,
      1 - BETA2 ** this.#steps,
    );
    net.weightGradients.fill(0);
  }

  moments(): AdamMoments {
    return { first: this.#view(this.#first).slice(), second: this.#view(this.#second).slice(), steps: this.#steps };
  }

  #view(pointer: Pointer): Float32Array {
    return this.#net.memory.floats(pointer, this.#net.spec.parameterSpan);
  }
}

export interface Schedule {
  /** Highest learning rate. */
  readonly rate: number;
  /** Steps over which the rate grows from nothing, at the very beginning. */
  readonly warmUpSteps: number;
  /** Steps of all rounds together. */
  readonly totalSteps: number;
}

/** Share of the highest rate that is left at the end. */
const FINAL_SHARE = 0.05;

/**
 * Learning rate of a step: linear warm-up, then half a cosine over all rounds (Loshchilov and Hutter 2017, without restarts).
 *
 * @param step counts from 0 over all rounds
 */
export function learningRate(step: number, { rate, warmUpSteps, totalSteps }: Schedule): number {
  const warmUp = Math.min(1, (step + 1) / Math.max(1, warmUpSteps));
  const cosine = (1 + Math.cos((Math.PI * Math.min(step, totalSteps)) / totalSteps)) / 2;
  return rate * warmUp * (FINAL_SHARE + (1 - FINAL_SHARE) * cosine);
}
