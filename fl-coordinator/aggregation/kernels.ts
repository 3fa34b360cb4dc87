import { readFileSync } from 'node:fs';
import path from 'node:path';

/** The exports of kernels.as.ts. Pointers are byte offsets, `n` counts elements and is a multiple of {@link LANES}. */
export interface Kernels {
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
  middle32: SortingKernel;
  middle64: SortingKernel;
  clip32(x: number, model: number, factor: number, n: number): void;
  clip64(x: number, model: number, factor: number, n: number): void;
  squaredDistance32(x: number, model: number, n: number): number;
  squaredDistance64(x: number, model: number, n: number): number;
  difference32(x: number, model: number, out: number, n: number): void;
  difference64(x: number, model: number, out: number, n: number): void;
  gram(rows: number, count: number, sums: number, n: number): void;
  closest32: SortingKernel;
  closest64: SortingKernel;
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

/** `first`, `second`: places low and up of the middle kernels, number of columns and of kept values of the closest kernels. */
type SortingKernel = (
  columns: number,
  stride: number,
  pairs: number,
  pairCount: number,
  first: number,
  second: number,
  acc: number,
  n: number,
) => void;

export const LANES = 4;

export const padded = (elements: number): number => Math.ceil(elements / LANES) * LANES;

let compiled: WebAssembly.Module | undefined;

/** The kernels, working on this memory. The first 64 KiB must stay free: the compiler may keep its constants there. */
export function kernelsOn(memory: WebAssembly.Memory): Kernels {
  compiled ??= new WebAssembly.Module(readFileSync(path.join(__dirname, 'kernels.wasm')));
  return new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as Kernels;
}
