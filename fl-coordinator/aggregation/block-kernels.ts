import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Combiner, ServerOptimiser } from '../../federation/strategy';
import { sortingNetwork } from './sorting-network';

interface Kernels {
  scale(acc: number, x: number, w: number, n: number): void;
  addScaled(acc: number, x: number, w: number, n: number): void;
  replace(acc: number, out: number, n: number): void;
  momentum(acc: number, model: number, velocity: number, out: number, lr: number, beta: number, n: number): void;
  adam(
    acc: number,
    model: number,
    first: number,
    second: number,
    out: number,
    lr: number,
    beta1: number,
    beta2: number,
    tau: number,
    n: number,
  ): void;
  median(
    columns: number,
    stride: number,
    pairs: number,
    pairCount: number,
    low: number,
    high: number,
    acc: number,
    n: number,
  ): void;
}

const PAGE_BYTES = 65536;
const LANES = 4;

let compiled: WebAssembly.Module | undefined;

/**
 * The memory and the kernels that aggregate one block: float32 columns of the contributors, the global model and the server
 * optimiser's moments in; the new model and moments out. Sums are in float64, in site order. Inputs exist twice, so that one
 * set is read while the other is worked on.
 */
export class BlockKernels {
  readonly #kernels: Kernels;
  readonly #memory: WebAssembly.Memory;
  readonly #sets: readonly InputSet[];
  readonly #acc: number;
  readonly #out: number;
  readonly #pairs: number;
  readonly #pairCount: number;
  readonly #stride: number;

  constructor(
    readonly contributors: number,
    readonly maxElements: number,
  ) {
    const network = sortingNetwork(contributors);
    const columnBytes = Math.ceil(maxElements / LANES) * LANES * Float32Array.BYTES_PER_ELEMENT;
    this.#stride = columnBytes;
    let top = PAGE_BYTES; // The first page stays free: the compiler may keep its constants there.
    const take = (bytes: number): number => {
      const at = top;
      top += Math.ceil(bytes / 64) * 64;
      return at;
    };
    this.#sets = [0, 1].map(() => ({
      columns: take(columnBytes * contributors),
      model: take(columnBytes),
      moments: [take(columnBytes), take(columnBytes)] as const,
    }));
    this.#acc = take(2 * columnBytes);
    this.#out = take(columnBytes);
    this.#pairs = take(network.length * 8);
    this.#pairCount = network.length;
    this.#memory = new WebAssembly.Memory({ initial: Math.ceil(top / PAGE_BYTES) });
    compiled ??= new WebAssembly.Module(readFileSync(path.join(__dirname, 'kernels.wasm')));
    this.#kernels = new WebAssembly.Instance(compiled, { env: { memory: this.#memory } }).exports as unknown as Kernels;
    new Uint32Array(this.#memory.buffer, this.#pairs, network.length * 2).set(network.flat());
  }

  column(set: 0 | 1, contributor: number, elements: number): Float32Array {
    return this.#view(this.#sets[set].columns + contributor * this.#stride, elements);
  }

  model(set: 0 | 1, elements: number): Float32Array {
    return this.#view(this.#sets[set].model, elements);
  }

  /** First and second moment (or velocity, and nothing). Read before, written after {@link combine}. */
  moment(set: 0 | 1, index: 0 | 1, elements: number): Float32Array {
    return this.#view(this.#sets[set].moments[index], elements);
  }

  /**
   * Combines the columns of a set and moves the model.
   * @param weights of the contributors, summing to 1; unused by the median
   * @returns the new model's values, valid until the next call
   */
  combine(
    set: 0 | 1,
    combiner: Combiner,
    optimiser: ServerOptimiser,
    weights: readonly number[],
    elements: number,
  ): Float32Array {
    const n = Math.ceil(elements / LANES) * LANES;
    const { columns, model, moments } = this.#sets[set];
    const k = this.#kernels;
    if (combiner.kind === 'median') {
      const high = Math.floor(this.contributors / 2);
      const low = Math.floor((this.contributors - 1) / 2);
      k.median(columns, this.#stride, this.#pairs, this.#pairCount, low, high, this.#acc, n);
    } else {
      weights.forEach((weight, i) => {
        if (i === 0) k.scale(this.#acc, columns, weight, n);
        else k.addScaled(this.#acc, columns + i * this.#stride, weight, n);
      });
    }
    switch (optimiser.kind) {
      case 'replace':
        k.replace(this.#acc, this.#out, n);
        break;
      case 'momentum':
        k.momentum(this.#acc, model, moments[0], this.#out, optimiser.lr, optimiser.beta, n);
        break;
      case 'adam': {
        const { lr, beta1, beta2, tau } = optimiser;
        k.adam(this.#acc, model, moments[0], moments[1], this.#out, lr, beta1, beta2, tau, n);
        break;
      }
    }
    return this.#view(this.#out, elements);
  }

  #view(at: number, elements: number): Float32Array {
    return new Float32Array(this.#memory.buffer, at, elements);
  }
}

interface InputSet {
  readonly columns: number;
  readonly model: number;
  readonly moments: readonly [number, number];
}
