import { deriveSeed, type RandomSource, seededRandom } from '../../base/random';
import { dirichlet, drawKind } from '../random-draws';
import type { SoftmaxParameters } from './parameters';

/** Examples row by row, each with its class. */
export interface Examples {
  readonly count: number;
  /** `count x features`. */
  readonly inputs: Float32Array;
  readonly classes: Uint16Array;
}

export interface SoftmaxData {
  readonly training: Examples;
  readonly heldOut: Examples;
}

/** How far apart the means of two classes are, in standard deviations of their examples: not all can be told apart. */
const DISTANCE = 3.5;

/**
 * The examples of a site: each class is a Gaussian around a mean of its own, the same at all sites. What differs between sites is
 * how often they see which class (Dirichlet, `skew`), and with a skew also how many examples they have: half to one and a
 * half times the average. A function of seed, site, skew and parameters alone.
 */
export function softmaxData(
  seed: number,
  site: string,
  skew: number | undefined,
  { features, classes, samples }: Pick<SoftmaxParameters, 'features' | 'classes' | 'samples'>,
): SoftmaxData {
  const means = classMeans(seed, classes, features);
  const random = seededRandom(deriveSeed('softmax examples', seed, site));
  const shares = dirichlet(random, classes, skew);
  const wanted = skew === undefined ? samples : samples * (0.5 + random.uniform());
  // Held-out examples are exactly half as many, so that a mean weighted by them is one weighted by training examples.
  const held = Math.max(1, Math.round(wanted / 2));
  return {
    training: drawExamples(random, 2 * held, features, shares, means),
    heldOut: drawExamples(random, held, features, shares, means),
  };
}

/** The means that were asked for last: all sites of a thread have the same. */
let known: { readonly key: string; readonly means: Float32Array } | undefined;

function classMeans(seed: number, classes: number, features: number): Float32Array {
  const key = `${seed} ${classes} ${features}`;
  if (known?.key !== key) known = { key, means: drawMeans(seed, classes, features) };
  return known.means;
}

function drawMeans(seed: number, classes: number, features: number): Float32Array {
  const random = seededRandom(deriveSeed('softmax classes', seed));
  const spread = DISTANCE / Math.sqrt(2 * features);
  return Float32Array.from({ length: classes * features }, () => spread * random.normal());
}

function drawExamples(
  random: RandomSource,
  count: number,
  features: number,
  shares: readonly number[],
  means: Float32Array,
): Examples {
  const inputs = new Float32Array(count * features);
  const classes = new Uint16Array(count);
  for (let example = 0; example < count; example++) {
    const kind = drawKind(random, shares);
    classes[example] = kind;
    for (let i = 0; i < features; i++) inputs[example * features + i] = means[kind * features + i]! + random.normal();
  }
  return { count, inputs, classes };
}
