import type { ServerOptimiser } from '../../federation/strategy';
import type { FloatDtype } from '../../federation/tensors/dtype';
import type { BlockMemory, InputSet, Reading } from './block-memory';
import { type Combination, networkOf } from './combination';
import { padded } from './kernels';

/** Elements whose float64 sums stay in the second-level cache while all contributors are added. */
const TILE_ELEMENTS = 1 << 14;

/** Values from here on round to infinity (half a step above the greatest number of the type). */
const LIMITS = { F32: Number.POSITIVE_INFINITY, F16: 65520, BF16: (2 - 2 ** -8) * 2 ** 127 } as const;
const BYTES = { F64: 8, F32: 4, F16: 2, BF16: 2 } as const;

export interface BlockRule {
  readonly combination: Combination;
  readonly optimiser: ServerOptimiser;
  /** See {@link Reading.factors}, by contributor. */
  readonly clipFactors: readonly number[];
}

/**
 * Makes the new values of one block: columns of the contributors, the global model and the server optimiser's moments in; the
 * new model and moments out.
 *
 * Rounding. float16 and bfloat16 are widened to float32, which is exact. The mean is the float64 sum of weight x value in the
 * order of contributors, divided once by the float64 sum of weights: for float32 values and whole weights the products are
 * exact, so equal updates give the same bytes again. Sorting is exact; what is left of it is the float64 mean of the kept
 * values in rising order. Clipped updates are rounded to float32 (float64) before they are combined. The server optimiser
 * works in float64; its moments are rounded to float32 once they are used. The result is rounded to nearest even: once for
 * float64 and float32, by way of float32 for the 16-bit types.
 */
export class BlockKernels {
  /** What {@link combine} must find in the memory. */
  readonly reading: Reading;
  readonly #pairCount: number;

  constructor(
    private readonly memory: BlockMemory,
    private readonly rule: BlockRule,
  ) {
    const { combination, optimiser, clipFactors } = rule;
    const factors = combination.contributors.map((contributor) => clipFactors[contributor]!);
    this.reading = {
      contributors: combination.contributors,
      factors,
      model:
        optimiser.kind !== 'replace' ||
        factors.some((factor) => factor < 1) ||
        (combination.kind === 'mean' && combination.modelWeight !== 0),
    };
    const network = networkOf(combination);
    this.#pairCount = network.length;
    new Uint32Array(memory.buffer, memory.scratch, network.length * 2).set(network.flat());
  }

  /**
   * Combines the columns of a set and moves the model.
   * @returns the new model's elements as they are in the file, valid until the next call; undefined when a new value
   *   or moment would not be finite in its type
   */
  combine(set: InputSet, dtype: FloatDtype, elements: number): Uint8Array | undefined {
    const n = padded(elements);
    const { memory } = this;
    memory.prepare(set, dtype, n, this.reading);
    this.#combine(set, dtype, n);
    return this.#move(set, dtype, n) && this.#narrow(dtype, n)
      ? memory.bytes(memory.out, elements * BYTES[dtype])
      : undefined;
  }

  #combine(set: InputSet, dtype: FloatDtype, n: number): void {
    const { combination } = this.rule;
    if (combination.kind === 'mean') {
      this.#mean(combination, set, dtype, n);
      return;
    }
    const { kernels: k, scratch, stride, acc } = this.memory;
    const columns = this.memory.columnAt(set, 0);
    if (combination.kind === 'middle') {
      const { low, up } = combination;
      (dtype === 'F64' ? k.middle64 : k.middle32)(columns, stride, scratch, this.#pairCount, low, up, acc, n);
    } else {
      const { contributors, keep } = combination;
      const size = contributors.length;
      (dtype === 'F64' ? k.closest64 : k.closest32)(columns, stride, scratch, this.#pairCount, size, keep, acc, n);
    }
  }

  #mean(
    { weights, modelWeight, total }: Extract<Combination, { kind: 'mean' }>,
    set: InputSet,
    dtype: FloatDtype,
    n: number,
  ): void {
    const { memory } = this;
    const { kernels: k } = memory;
    const [scale, addScaled] = dtype === 'F64' ? [k.scale64, k.addScaled64] : [k.scale32, k.addScaled32];
    for (let begin = 0; begin < n; begin += TILE_ELEMENTS) {
      const count = Math.min(TILE_ELEMENTS, n - begin);
      const acc = memory.acc + begin * 8;
      const offset = begin * (dtype === 'F64' ? 8 : 4);
      for (const [i, weight] of weights.entries()) {
        (i === 0 ? scale : addScaled)(acc, memory.columnAt(set, i) + offset, weight, count);
      }
      if (modelWeight !== 0) addScaled(acc, memory.modelAt(set) + offset, modelWeight, count);
      k.divide(acc, total, count);
    }
  }

  /** The server optimiser's step, from the combined values in `acc` to the new ones. @returns false when a moment overflows */
  #move(set: InputSet, dtype: FloatDtype, n: number): boolean {
    const { memory } = this;
    const { kernels: k, acc, model64 } = memory;
    const { optimiser } = this.rule;
    if (optimiser.kind === 'replace') return true;
    // Multiplying by one widens to float64.
    (dtype === 'F64' ? k.scale64 : k.scale32)(model64, memory.modelAt(set), 1, n);
    const [first, second] = memory.momentsAt(set);
    if (optimiser.kind === 'momentum') {
      k.momentum(acc, model64, first, optimiser.lr, optimiser.beta, n);
      return k.allBelow32(first, LIMITS.F32, n) === 1;
    }
    const { kind, lr, beta1, tau } = optimiser;
    if (kind === 'adagrad') k.adagrad(acc, model64, first, second, lr, beta1, tau, n);
    else k[kind](acc, model64, first, second, lr, beta1, optimiser.beta2, tau, n);
    return [first, second].every((moment) => k.allBelow32(moment, LIMITS.F32, n) === 1);
  }

  /** From `acc` to the type of the tensor. @returns false when a value is not finite there */
  #narrow(dtype: FloatDtype, n: number): boolean {
    const { kernels: k, acc, out } = this.memory;
    if (dtype === 'F64') {
      k.scale64(out, acc, 1, n);
      return k.allFinite64(out, n) === 1;
    }
    k.demote(acc, out, n);
    if (k.allBelow32(out, LIMITS[dtype], n) === 0) return false;
    if (dtype === 'F16') k.narrowHalf(out, n);
    else if (dtype === 'BF16') k.narrowBrain(out, n);
    return true;
  }
}
