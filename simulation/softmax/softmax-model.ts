import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Examples } from './site-data';

/** Shape of the model: `classes x features` weights, row by row, then a bias for each class. */
export interface SoftmaxShape {
  readonly features: number;
  readonly classes: number;
}

export const weightCount = ({ features, classes }: SoftmaxShape): number => classes * (features + 1);

/** The exports of kernels.as.ts. Pointers are byte offsets. */
interface Kernels {
  scores(weights: number, biases: number, input: number, features: number, classes: number, out: number): void;
  addOuter(gradient: number, biases: number, input: number, features: number, classes: number, errors: number): void;
  descend(weights: number, gradient: number, rate: number, regularisation: number, n: number): void;
}

let compiled: WebAssembly.Module | undefined;
const PAGE_BYTES = 65536;

/** Weights with their gradient, in memory that the kernels work on. */
export class SoftmaxModel {
  readonly weights: Float32Array;
  readonly gradient: Float32Array;
  readonly #input: Float32Array;
  /** One for each class: scores, then probabilities, then errors. */
  readonly #perClass: Float64Array;
  readonly #kernels: Kernels;

  /** Zeros. */
  constructor(readonly shape: SoftmaxShape) {
    const { features, classes } = shape;
    const bytes = 8 * classes + 4 * (2 * weightCount(shape) + features);
    // The first page stays free: the compiler may keep its constants there.
    const memory = new WebAssembly.Memory({ initial: 1 + Math.ceil(bytes / PAGE_BYTES) });
    this.#perClass = new Float64Array(memory.buffer, PAGE_BYTES, classes);
    const floatsAfter = (array: Float32Array | Float64Array, length: number): Float32Array =>
      new Float32Array(memory.buffer, array.byteOffset + array.byteLength, length);
    this.weights = floatsAfter(this.#perClass, weightCount(shape));
    this.gradient = floatsAfter(this.weights, weightCount(shape));
    this.#input = floatsAfter(this.gradient, features);
    compiled ??= new WebAssembly.Module(readFileSync(path.join(__dirname, 'kernels.wasm')));
    this.#kernels = new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as Kernels;
  }

  /**
   * Adds the gradient of the mean cross-entropy over these examples to {@link gradient}.
   * @returns the mean cross-entropy
   */
  addGradient(examples: Examples, chosen: readonly number[]): number {
    const { features, classes } = this.shape;
    const errors = this.#perClass;
    const share = 1 / chosen.length;
    let loss = 0;
    for (const index of chosen) {
      loss += this.#forward(examples, index);
      const own = examples.classes[index];
      for (let kind = 0; kind < classes; kind++) errors[kind] = share * (errors[kind]! - (own === kind ? 1 : 0));
      const rows = this.gradient.byteOffset;
      const biases = rows + 4 * classes * features;
      this.#kernels.addOuter(rows, biases, this.#input.byteOffset, features, classes, errors.byteOffset);
    }
    return loss * share;
  }

  /** One step down the gradient, and that of `regularisation` times half the squared norm. */
  descend(learningRate: number, regularisation: number): void {
    const { weights, gradient } = this;
    this.#kernels.descend(weights.byteOffset, gradient.byteOffset, learningRate, regularisation, weights.length);
  }

  /** What the weights reach: mean cross-entropy, and share of the examples whose most probable class is the true one. */
  measure(examples: Examples): { readonly loss: number; readonly accuracy: number } {
    const { classes } = this.shape;
    const probabilities = this.#perClass;
    let loss = 0;
    let right = 0;
    for (let index = 0; index < examples.count; index++) {
      loss += this.#forward(examples, index);
      let best = 0;
      for (let kind = 1; kind < classes; kind++) if (probabilities[kind]! > probabilities[best]!) best = kind;
      if (best === examples.classes[index]) right++;
    }
    return { loss: loss / examples.count, accuracy: right / examples.count };
  }

  /** Half the squared norm of the weights, biases included. */
  halfSquaredNorm(): number {
    const { weights } = this;
    let sum = 0;
    for (let i = 0; i < weights.length; i++) sum += weights[i]! * weights[i]!;
    return sum / 2;
  }

  /** Probabilities of all classes for one example. @returns -log of that of the true class */
  #forward(examples: Examples, index: number): number {
    const { features, classes } = this.shape;
    const scores = this.#perClass;
    this.#input.set(examples.inputs.subarray(index * features, (index + 1) * features));
    const rows = this.weights.byteOffset;
    const biases = rows + 4 * classes * features;
    this.#kernels.scores(rows, biases, this.#input.byteOffset, features, classes, scores.byteOffset);
    let top = Number.NEGATIVE_INFINITY;
    for (const score of scores) if (score > top) top = score;
    let total = 0;
    for (let kind = 0; kind < classes; kind++) {
      scores[kind] = Math.exp(scores[kind]! - top);
      total += scores[kind]!;
    }
    for (let kind = 0; kind < classes; kind++) scores[kind]! /= total;
    return -Math.log(Math.max(scores[examples.classes[index]!]!, Number.MIN_VALUE));
  }
}
