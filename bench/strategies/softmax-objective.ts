import { readTensors } from '../../federation/tensors/file';
import type { SoftmaxParameters } from '../../simulation/softmax/parameters';
import { type SoftmaxData, softmaxData } from '../../simulation/softmax/site-data';
import { SoftmaxModel, weightCount } from '../../simulation/softmax/softmax-model';

/**
 * What all sites together make smaller, F(w) = sum n_k / n (cross-entropy of site k) + regularisation |w|^2 / 2, measured from
 * outside on the data that the sites make for themselves. It is strictly convex, so it has one least value, and how far a model
 * is from it is known.
 */
export class SoftmaxObjective {
  readonly #data: readonly SoftmaxData[];
  readonly #model: SoftmaxModel;
  readonly #examples: number;
  readonly #least: number;
  readonly #first: number;

  constructor(
    private readonly parameters: SoftmaxParameters,
    seed: number,
    skew: number | undefined,
    /** Whose data count. */
    sites: readonly string[],
  ) {
    this.#model = new SoftmaxModel(parameters);
    this.#data = sites.map((site) => softmaxData(seed, site, skew, parameters));
    this.#examples = this.#data.reduce((sum, { training }) => sum + training.count, 0);
    this.#first = this.#of(new Float32Array(weightCount(parameters)));
    this.#least = this.#of(this.#minimise());
  }

  /** How much of the first model's excess is left in the model of that file: 1 is no better than it, 0 the best there is. */
  async excess(file: string): Promise<number> {
    const { tensors } = await readTensors(file);
    const weights = new Float32Array(weightCount(this.parameters));
    const { data: weight } = tensors.get('weight')!;
    weights.set(weight as Float32Array);
    weights.set(tensors.get('bias')!.data as Float32Array, weight.length);
    return (this.#of(weights) - this.#least) / (this.#first - this.#least);
  }

  #of(weights: Float32Array): number {
    const model = this.#model;
    model.weights.set(weights);
    const losses = this.#data.map(({ training }) => training.count * model.measure(training).loss);
    const penalty = this.parameters.regularisation * model.halfSquaredNorm();
    return losses.reduce((sum, loss) => sum + loss, 0) / this.#examples + penalty;
  }

  /** Gradient descent with momentum on all data at once; the steps are far more than it needs. */
  #minimise(): Float32Array {
    const { parameters } = this;
    const model = new SoftmaxModel(parameters);
    const { weights, gradient: own } = model;
    const speed = new Float64Array(weights.length);
    const gradient = new Float64Array(weights.length);
    for (let step = 0; step < DESCENT.steps; step++) {
      for (let i = 0; i < weights.length; i++) gradient[i] = parameters.regularisation * weights[i]!;
      for (const { training } of this.#data) {
        own.fill(0);
        model.addGradient(training, everyIndex(training.count));
        for (let i = 0; i < own.length; i++) gradient[i]! += (own[i]! * training.count) / this.#examples;
      }
      for (let i = 0; i < weights.length; i++) {
        speed[i] = DESCENT.momentum * speed[i]! + gradient[i]!;
        weights[i]! -= DESCENT.rate * speed[i]!;
      }
    }
    return weights;
  }
}

const DESCENT = { steps: 2000, rate: 0.1, momentum: 0.9 };

const everyIndex = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
