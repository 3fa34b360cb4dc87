import type { FloatDtype } from '../../federation/tensors/dtype';
import {
  bfloat16OfFloat32,
  float32OfBfloat16,
  float32OfHalf,
  halfOfFloat32,
  viewAs,
} from '../../federation/tensors/dtype';
import type { StoredTensors } from './stored-tensors';

export interface Rebase {
  readonly update: string;
  /** The model that the update started from. */
  readonly from: string;
  /** The model that it is to be combined with. */
  readonly onto: string;
  /** How much of the way from the one to the update counts. */
  readonly factor: number;
}

/**
 * An update as it would be had it started from another model: onto + factor (update - from). Computed in float64 and rounded once
 * to the type of the tensor; whatever combines updates needs to know nothing of it. Integers are the update's own.
 */
export class RebasedTensors implements AsyncDisposable {
  private constructor(
    private readonly update: StoredTensors,
    private readonly from: StoredTensors,
    private readonly onto: StoredTensors,
    private readonly factor: number,
  ) {}

  static async open(open: (key: string) => Promise<StoredTensors>, keys: Rebase): Promise<RebasedTensors> {
    const opened: StoredTensors[] = [];
    try {
      for (const key of [keys.update, keys.from, keys.onto]) opened.push(await open(key));
    } catch (error) {
      await Promise.all(opened.map((tensors) => tensors[Symbol.asyncDispose]()));
      throw error;
    }
    return new RebasedTensors(opened[0]!, opened[1]!, opened[2]!, keys.factor);
  }

  read(begin: number, target: Uint8Array): Promise<void> {
    return this.update.read(begin, target);
  }

  async readFloats(begin: number, dtype: FloatDtype, target: Uint8Array): Promise<void> {
    const from = new Uint8Array(target.length);
    const onto = new Uint8Array(target.length);
    await Promise.all([this.update.read(begin, target), this.from.read(begin, from), this.onto.read(begin, onto)]);
    rebase(dtype, target, from, onto, this.factor);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.update, this.from, this.onto].map((tensors) => tensors[Symbol.asyncDispose]()));
  }
}

/** Two-byte types: from bits to a number, and back. */
const BITS = {
  F16: [float32OfHalf, halfOfFloat32],
  BF16: [float32OfBfloat16, bfloat16OfFloat32],
} as const;

function rebase(dtype: FloatDtype, update: Uint8Array, from: Uint8Array, onto: Uint8Array, factor: number): void {
  if (dtype === 'F32' || dtype === 'F64') {
    const values = viewAs(dtype, update);
    const [start, goal] = [viewAs(dtype, from), viewAs(dtype, onto)];
    for (let i = 0; i < values.length; i++) values[i] = goal[i]! + factor * (values[i]! - start[i]!);
    return;
  }
  const [number, bits] = BITS[dtype];
  const values = viewAs(dtype, update);
  const [start, goal] = [viewAs(dtype, from), viewAs(dtype, onto)];
  for (let i = 0; i < values.length; i++) {
    values[i] = bits(Math.fround(number(goal[i]!) + factor * (number(values[i]!) - number(start[i]!))));
  }
}
