import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Combiner, ServerOptimiser } from '../../federation/strategy';
import { medianNetwork } from './sorting-network';
import type { FloatDtype } from './spans';

/** The exports of kernels.as.ts. Pointers are byte offsets, `n` counts elements and is a multiple of {@link LANES}. */
interface Kernels {
  scale32(acc: number, x: number, w: number, n: number): void;
  addScaled32(acc: number, x: number, w: number, n: number): void;
  scale64(acc: number, x: number, w: number, n: number): void;
  addScaled64(acc: number, x: number, w: number, n: number): void;
  divide(acc: number, d: number, n: number): void;
  momentum(acc: number, model: number, velocity: number, lr: number, beta: number, n: number): void;
  adagrad(
    acc: number,
    model: number,
    first: number,
    second: number,
    lr: number,
    beta1: number,
    tau: number,
    n: number,
  ): void;
  adam: AdaptiveKernel;
  yogi: AdaptiveKernel;
  median32: MedianKernel;
  median64: MedianKernel;
  demote(acc: number, out: number, n: number): void;
  allBelow32(x: number, limit: number, n: number): number;
  allFinite64(x: number, n: number): number;
  widenHalf(x: number, n: number): void;
  widenBrain(x: number, n: number): void;
  narrowHalf(x: number, n: number): void;
  narrowBrain(x: number, n: number): void;
}

type AdaptiveKernel = (
  acc: number,
  model: number,
  first: number,
  second: number,
  lr: number,
  beta1: number,
  beta2: number,
  tau: number,
  n: number,
) => void;

type MedianKernel = (
  columns: number,
  stride: number,
  pairs: number,
  pairCount: number,
  low: number,
  up: number,
  acc: number,
  n: number,
) => void;

/** Memory for one tensor's block: as read, and as worked on. */
const SLOT_BYTES = 1 << 20;
/** Slots of all contributors together, so that memory stays bounded whatever their number. */
const COLUMNS_BYTES = 16 << 20;
const LANES = 4;
const SLOT_ALIGNMENT = 4096;
/** Elements whose float64 sums stay in the second-level cache while all contributors are added. */
const TILE_ELEMENTS = 1 << 14;
const PAGE_BYTES = 65536;

/** Values from here on round to infinity (half a step above the greatest number of the type). */
const LIMITS = { F32: Number.POSITIVE_INFINITY, F16: 65520, BF16: (2 - 2 ** -8) * 2 ** 127 } as const;

let compiled: WebAssembly.Module | undefined;

export type InputSet = 0 | 1;

export interface BlockRule {
  readonly combiner: Combiner;
  readonly optimiser: ServerOptimiser;
  /** One a contributor, not negative, their sum positive. The median counts heads and does not use them. */
  readonly weights: readonly number[];
}

/**
 * The memory and the kernels that aggregate one block: columns of the contributors, the global model and the server
 * optimiser's moments in; the new model and moments out. Inputs exist twice, so that one set is read while the other is worked
 * on. The memory never grows, so views of it stay good.
 *
 * Rounding. float16 and bfloat16 are widened to float32, which is exact. The mean is the float64 sum of weight x value in the
 * order of contributors, divided once by the float64 sum of weights: for float32 values and whole weights the products are
 * exact, so equal updates give the same bytes again. The median is exact; of an even number it is the float64 mean of the two
 * in the middle. The server optimiser works in float64; its moments are rounded to float32 once they are used. The result is
 * rounded to nearest even: once for float64 and float32, by way of float32 for the 16-bit types.
 */
export class BlockKernels {
  readonly #rule: BlockRule;
  readonly #totalWeight: number;
  readonly #kernels: Kernels;
  readonly #memory: WebAssembly.Memory;
  readonly #slotBytes: number;
  readonly #sets: readonly Slots[];
  readonly #out: number;
  readonly #acc: number;
  readonly #model64: number;
  readonly #pairs: number;
  readonly #pairCount: number;

  constructor(rule: BlockRule) {
    this.#rule = rule;
    this.#totalWeight = rule.weights.reduce((sum, weight) => sum + weight, 0);
    const contributors = rule.weights.length;
    const share = Math.floor(COLUMNS_BYTES / contributors / SLOT_ALIGNMENT) * SLOT_ALIGNMENT;
    const slotBytes = Math.min(SLOT_BYTES, Math.max(SLOT_ALIGNMENT, share));
    this.#slotBytes = slotBytes;
    const network = rule.combiner.kind === 'median' ? medianNetwork(contributors) : [];

    let top = PAGE_BYTES; // The first page stays free: the compiler may keep its constants there.
    const take = (bytes: number): number => {
      const at = top;
      top += Math.ceil(bytes / 64) * 64;
      return at;
    };
    this.#sets = [0, 1].map(() => ({
      columns: take(slotBytes * contributors),
      model: take(slotBytes),
      moments: [take(slotBytes), take(slotBytes)] as const,
    }));
    this.#out = take(slotBytes);
    this.#acc = take(2 * slotBytes);
    this.#model64 = take(2 * slotBytes);
    this.#pairs = take(network.length * 8);
    this.#pairCount = network.length;
    this.#memory = new WebAssembly.Memory({ initial: Math.ceil(top / PAGE_BYTES) });
    compiled ??= new WebAssembly.Module(readFileSync(path.join(__dirname, 'kernels.wasm')));
    this.#kernels = new WebAssembly.Instance(compiled, { env: { memory: this.#memory } }).exports as unknown as Kernels;
    new Uint32Array(this.#memory.buffer, this.#pairs, network.length * 2).set(network.flat());
  }

  /** How many elements a block may have. */
  maxElements(dtype: FloatDtype): number {
    return this.#slotBytes / (dtype === 'F64' ? 8 : 4);
  }

  /** Where a contributor's elements go, as they are in the file. */
  column(set: InputSet, contributor: number, dtype: FloatDtype, elements: number): Uint8Array {
    return this.#input(this.#columnAt(set, contributor), dtype, elements);
  }

  /** Where the global model's elements go, as they are in the file. Read by {@link needsModel} only. */
  model(set: InputSet, dtype: FloatDtype, elements: number): Uint8Array {
    return this.#input(this.#sets[set].model, dtype, elements);
  }

  get needsModel(): boolean {
    return this.#rule.optimiser.kind !== 'replace';
  }

  /** First and second moment (or velocity, and nothing). Read before, written after {@link combine}. */
  moment(set: InputSet, index: number, elements: number): Float32Array {
    const at = this.#sets[set].moments[index]!;
    new Float32Array(this.#memory.buffer, at + elements * 4, padded(elements) - elements).fill(0);
    return new Float32Array(this.#memory.buffer, at, elements);
  }

  /**
   * Combines the columns of a set and moves the model.
   * @returns the new model's elements as they are in the file, valid until the next call; undefined when a new value
   *   or moment would not be finite in its type
   */
  combine(set: InputSet, dtype: FloatDtype, elements: number): Uint8Array | undefined {
    const n = padded(elements);
    if (this.#rule.combiner.kind === 'median') this.#median(set, dtype, n);
    else this.#mean(set, dtype, n);
    return this.#move(set, dtype, n) && this.#narrow(dtype, n)
      ? this.#bytes(this.#out, elements * BYTES[dtype])
      : undefined;
  }

  #mean(set: InputSet, dtype: FloatDtype, n: number): void {
    const k = this.#kernels;
    const { weights } = this.#rule;
    const [scale, addScaled] = dtype === 'F64' ? [k.scale64, k.addScaled64] : [k.scale32, k.addScaled32];
    for (let i = 0; i < weights.length; i++) this.#widen(this.#columnAt(set, i), dtype, n);
    for (let begin = 0; begin < n; begin += TILE_ELEMENTS) {
      const count = Math.min(TILE_ELEMENTS, n - begin);
      const acc = this.#acc + begin * 8;
      const offset = begin * (dtype === 'F64' ? 8 : 4);
      for (let i = 0; i < weights.length; i++) {
        (i === 0 ? scale : addScaled)(acc, this.#columnAt(set, i) + offset, weights[i]!, count);
      }
      k.divide(acc, this.#totalWeight, count);
    }
  }

  #median(set: InputSet, dtype: FloatDtype, n: number): void {
    const contributors = this.#rule.weights.length;
    for (let i = 0; i < contributors; i++) this.#widen(this.#columnAt(set, i), dtype, n);
    const median = dtype === 'F64' ? this.#kernels.median64 : this.#kernels.median32;
    const low = Math.floor((contributors - 1) / 2);
    const up = Math.floor(contributors / 2);
    median(this.#columnAt(set, 0), this.#slotBytes, this.#pairs, this.#pairCount, low, up, this.#acc, n);
  }

  /** The server optimiser's step, from the combined values in `acc` to the new ones. @returns false when a moment overflows */
  #move(set: InputSet, dtype: FloatDtype, n: number): boolean {
    const k = this.#kernels;
    const { optimiser } = this.#rule;
    if (optimiser.kind === 'replace') return true;
    const { model, moments } = this.#sets[set];
    this.#widen(model, dtype, n);
    // Multiplying by one widens to float64.
    if (dtype === 'F64') k.scale64(this.#model64, model, 1, n);
    else k.scale32(this.#model64, model, 1, n);
    if (optimiser.kind === 'momentum') {
      k.momentum(this.#acc, this.#model64, moments[0]!, optimiser.lr, optimiser.beta, n);
      return k.allBelow32(moments[0]!, LIMITS.F32, n) === 1;
    }
    const [first, second] = moments;
    const { kind, lr, beta1, tau } = optimiser;
    if (kind === 'adagrad') k.adagrad(this.#acc, this.#model64, first, second, lr, beta1, tau, n);
    else k[kind](this.#acc, this.#model64, first, second, lr, beta1, optimiser.beta2, tau, n);
    return moments.every((moment) => k.allBelow32(moment, LIMITS.F32, n) === 1);
  }

  /** From `acc` to the type of the tensor. @returns false when a value is not finite there */
  #narrow(dtype: FloatDtype, n: number): boolean {
    const k = this.#kernels;
    const out = this.#out;
    if (dtype === 'F64') {
      k.scale64(out, this.#acc, 1, n);
      return k.allFinite64(out, n) === 1;
    }
    k.demote(this.#acc, out, n);
    if (k.allBelow32(out, LIMITS[dtype], n) === 0) return false;
    if (dtype === 'F16') k.narrowHalf(out, n);
    else if (dtype === 'BF16') k.narrowBrain(out, n);
    return true;
  }

  #widen(slot: number, dtype: FloatDtype, n: number): void {
    if (dtype === 'F16') this.#kernels.widenHalf(slot, n);
    else if (dtype === 'BF16') this.#kernels.widenBrain(slot, n);
  }

  /** Two-byte types start in the middle of what their float32 values will take: the widening kernels expect them there. */
  #input(slot: number, dtype: FloatDtype, elements: number): Uint8Array {
    const n = padded(elements);
    const at = slot + (dtype === 'F16' || dtype === 'BF16' ? 2 * n : 0);
    const bytes = elements * BYTES[dtype];
    this.#bytes(at + bytes, (n - elements) * BYTES[dtype]).fill(0);
    return this.#bytes(at, bytes);
  }

  #columnAt(set: InputSet, contributor: number): number {
    return this.#sets[set].columns + contributor * this.#slotBytes;
  }

  #bytes(at: number, length: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, at, length);
  }
}

interface Slots {
  readonly columns: number;
  readonly model: number;
  readonly moments: readonly [number, number];
}

const BYTES = { F64: 8, F32: 4, F16: 2, BF16: 2 } as const;

const padded = (elements: number): number => Math.ceil(elements / LANES) * LANES;
