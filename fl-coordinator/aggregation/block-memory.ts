import type { FloatDtype } from '../../federation/tensors/dtype';
import { type Kernels, kernelsOn, padded } from './kernels';

/** Memory for one tensor's block: as read, and as worked on. */
const SLOT_BYTES = 1 << 20;
/** Slots of all contributors together: many share what a few get. */
const COLUMNS_BYTES = 8 << 20;
/** Unless that leaves each of them less than a file is worth asking for; ... */
const SMALL_SLOT_BYTES = 128 << 10;
/** ... but memory stays bounded whatever their number. */
const MOST_COLUMNS_BYTES = 20 << 20;
const SLOT_ALIGNMENT = 4096;
const PAGE_BYTES = 65536;

const BYTES = { F64: 8, F32: 4, F16: 2, BF16: 2 } as const;

/** Inputs exist twice, so that one set is read while the other is worked on. */
export type InputSet = 0 | 1;

/** What a pass over the blocks reads of each. */
export interface Reading {
  /** Contributors, by their place in site order; the first of them goes into column 0, and so on. */
  readonly contributors: readonly number[];
  /** How much of each one's distance from the model is left by clipping, 0..1, in the order of `contributors`. */
  readonly factors: readonly number[];
  /** Whether the global model is read too. */
  readonly model: boolean;
}

/**
 * Of the round before: rounds of one run need the same, and fresh memory in each would have the garbage collector mark the whole
 * heap every few rounds.
 */
let spare: WebAssembly.Memory | undefined;

function takeMemory(pages: number): WebAssembly.Memory {
  const memory = spare?.buffer.byteLength === pages * PAGE_BYTES ? spare : undefined;
  if (memory) spare = undefined;
  return memory ?? new WebAssembly.Memory({ initial: pages });
}

function slotBytesFor(contributors: number): number {
  const share = Math.max(COLUMNS_BYTES / contributors, Math.min(SMALL_SLOT_BYTES, MOST_COLUMNS_BYTES / contributors));
  return Math.min(SLOT_BYTES, Math.max(1, Math.floor(share / SLOT_ALIGNMENT)) * SLOT_ALIGNMENT);
}

/**
 * The memory in which blocks are worked on, and the kernels on it: columns of the contributors, the global model, the server
 * optimiser's moments, results. It never grows, so views of it stay good.
 */
export class BlockMemory {
  readonly kernels: Kernels;
  /** Bytes from one column to the next. */
  readonly stride: number;
  /** float64 results of a block, and the global model widened to float64. */
  readonly acc: number;
  readonly model64: number;
  /** Results as they are written. */
  readonly out: number;
  /** Whatever a pass needs beside the blocks; as long as was asked for. */
  readonly scratch: number;
  readonly buffer: ArrayBuffer;
  readonly #sets: readonly Slots[];
  readonly #memory: WebAssembly.Memory;

  constructor(contributors: number, scratchBytes: number) {
    const slotBytes = slotBytesFor(contributors);
    this.stride = slotBytes;
    let top = PAGE_BYTES;
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
    this.out = take(slotBytes);
    this.acc = take(2 * slotBytes);
    this.model64 = take(2 * slotBytes);
    this.scratch = take(scratchBytes);
    this.#memory = takeMemory(Math.ceil(top / PAGE_BYTES));
    this.buffer = this.#memory.buffer;
    new Uint8Array(this.buffer, this.scratch, scratchBytes).fill(0);
    this.kernels = kernelsOn(this.#memory);
  }

  /** Leaves the memory to the next round, after one that came to its end: nothing may read or write it any more. */
  release(): void {
    spare = this.#memory;
  }

  /** How many elements a block may have. */
  maxElements(dtype: FloatDtype): number {
    return this.stride / (dtype === 'F64' ? 8 : 4);
  }

  columnAt(set: InputSet, column: number): number {
    return this.#sets[set].columns + column * this.stride;
  }

  modelAt(set: InputSet): number {
    return this.#sets[set].model;
  }

  momentsAt(set: InputSet): readonly [number, number] {
    return this.#sets[set].moments;
  }

  /** Where a column's elements go, as they are in the file. */
  column(set: InputSet, column: number, dtype: FloatDtype, elements: number): Uint8Array {
    return this.#input(this.columnAt(set, column), dtype, elements);
  }

  /** Where the global model's elements go, as they are in the file. */
  model(set: InputSet, dtype: FloatDtype, elements: number): Uint8Array {
    return this.#input(this.modelAt(set), dtype, elements);
  }

  /** First and second moment (or velocity, and nothing). */
  moment(set: InputSet, index: number, elements: number): Float32Array {
    const at = this.momentsAt(set)[index]!;
    new Float32Array(this.buffer, at + elements * 4, padded(elements) - elements).fill(0);
    return new Float32Array(this.buffer, at, elements);
  }

  bytes(at: number, length: number): Uint8Array {
    return new Uint8Array(this.buffer, at, length);
  }

  /**
   * Makes what was read ready for the kernels: 16-bit types become float32, which is exact, and clipped updates are drawn
   * towards the model (rounded to float32, or float64 for float64). @param n elements, padded
   */
  prepare(set: InputSet, dtype: FloatDtype, n: number, { factors, model }: Reading): void {
    const { kernels } = this;
    const modelAt = this.modelAt(set);
    if (model) this.#widen(modelAt, dtype, n);
    const wide = dtype === 'F64' ? 8 : 4;
    const clip = dtype === 'F64' ? kernels.clip64 : kernels.clip32;
    for (const [column, factor] of factors.entries()) {
      const at = this.columnAt(set, column);
      this.#widen(at, dtype, n);
      // Of an update that is infinitely far away nothing is left; infinity times zero would be no number.
      if (factor === 0) this.bytes(at, n * wide).set(this.bytes(modelAt, n * wide));
      else if (factor < 1) clip(at, modelAt, factor, n);
    }
  }

  #widen(slot: number, dtype: FloatDtype, n: number): void {
    if (dtype === 'F16') this.kernels.widenHalf(slot, n);
    else if (dtype === 'BF16') this.kernels.widenBrain(slot, n);
  }

  /** Two-byte types start in the middle of what their float32 values will take: the widening kernels expect them there. */
  #input(slot: number, dtype: FloatDtype, elements: number): Uint8Array {
    const n = padded(elements);
    const at = slot + (dtype === 'F16' || dtype === 'BF16' ? 2 * n : 0);
    const bytes = elements * BYTES[dtype];
    this.bytes(at + bytes, (n - elements) * BYTES[dtype]).fill(0);
    return this.bytes(at, bytes);
  }
}

interface Slots {
  readonly columns: number;
  readonly model: number;
  readonly moments: readonly [number, number];
}
