import type { Examples } from './site-data';

/** Shape of the model: `classes x features` weights, row by row, then a bias for each class. */
export interface SoftmaxShape {
  readonly features: number;
  readonly classes: number;
}

export const weightCount = ({ features, classes }: SoftmaxShape): number => classes * (features + 1);

/** In four sums, which a processor adds up side by side. */
function dot(a: Float32Array, b: Float32Array): number {
  const whole = a.length - (a.length % 4);
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (let i = 0; i < whole; i += 4) {
    s0 += a[i]! * b[i]!;
    s1 += a[i + 1]! * b[i + 1]!;
    s2 += a[i + 2]! * b[i + 2]!;
    s3 += a[i + 3]! * b[i + 3]!;
  }
  for (let i = whole; i < a.length; i++) s0 += a[i]! * b[i]!;
  return s0 + s1 + (s2 + s3);
}

/** Probabilities of all classes for one example, into `into`. @returns -log of that of the true class */
function forward(
  shape: SoftmaxShape,
  weights: Float32Array,
  examples: Examples,
  index: number,
  into: Float64Array,
): number {
  const { features, classes } = shape;
  const input = examples.inputs.subarray(index * features, (index + 1) * features);
  const biases = classes * features;
  let top = Number.NEGATIVE_INFINITY;
  for (let kind = 0; kind < classes; kind++) {
    const sum = weights[biases + kind]! + dot(weights.subarray(kind * features, (kind + 1) * features), input);
    into[kind] = sum;
    if (sum > top) top = sum;
  }
  let total = 0;
  for (let kind = 0; kind < classes; kind++) {
    into[kind] = Math.exp(into[kind]! - top);
    total += into[kind]!;
  }
  for (let kind = 0; kind < classes; kind++) into[kind]! /= total;
  return -Math.log(Math.max(into[examples.classes[index]!]!, Number.MIN_VALUE));
}

/**
 * Adds the gradient of the mean cross-entropy over these examples to `gradient`.
 * @returns the mean cross-entropy
 */
export function addGradient(
  shape: SoftmaxShape,
  weights: Float32Array,
  examples: Examples,
  chosen: readonly number[],
  gradient: Float32Array,
): number {
  const { features, classes } = shape;
  const biases = classes * features;
  const probabilities = new Float64Array(classes);
  const share = 1 / chosen.length;
  let loss = 0;
  for (const index of chosen) {
    loss += forward(shape, weights, examples, index, probabilities);
    const input = examples.inputs.subarray(index * features, (index + 1) * features);
    for (let kind = 0; kind < classes; kind++) {
      const error = share * (probabilities[kind]! - (examples.classes[index] === kind ? 1 : 0));
      const row = gradient.subarray(kind * features, (kind + 1) * features);
      for (let i = 0; i < features; i++) row[i]! += error * input[i]!;
      gradient[biases + kind]! += error;
    }
  }
  return loss * share;
}

/** What a model reaches: mean cross-entropy, and share of the examples whose most probable class is the true one. */
export function measure(
  shape: SoftmaxShape,
  weights: Float32Array,
  examples: Examples,
): { readonly loss: number; readonly accuracy: number } {
  const probabilities = new Float64Array(shape.classes);
  let loss = 0;
  let right = 0;
  for (let index = 0; index < examples.count; index++) {
    loss += forward(shape, weights, examples, index, probabilities);
    let best = 0;
    for (let kind = 1; kind < shape.classes; kind++) if (probabilities[kind]! > probabilities[best]!) best = kind;
    if (best === examples.classes[index]) right++;
  }
  return { loss: loss / examples.count, accuracy: right / examples.count };
}

/** Half the squared norm of the weights, biases included. */
export function halfSquaredNorm(weights: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < weights.length; i++) sum += weights[i]! * weights[i]!;
  return sum / 2;
}
