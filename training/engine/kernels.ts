import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ClaraError } from '../../base/errors';

/** Address of an f32 array in a {@link KernelMemory}. */
export type Pointer = number;

/** The functions of `kernels.as.ts`, which says what each computes. */
export interface Kernels {
  convolve(padded: Pointer, filter: Pointer, output: Pointer, ...size: ConvolutionSize): void;
  convolveFilterGradient(
    padded: Pointer,
    outputGradient: Pointer,
    filterGradient: Pointer,
    ...size: ConvolutionSize
  ): void;
  turnFilter(filter: Pointer, turned: Pointer, inChannels: number, outChannels: number): void;
  pad(input: Pointer, padded: Pointer, ...size: GridSize): void;
  padJoined(
    left: Pointer,
    right: Pointer,
    padded: Pointer,
    depth: number,
    height: number,
    width: number,
    leftChannels: number,
    rightChannels: number,
  ): void;
  splitJoined(
    joined: Pointer,
    left: Pointer,
    right: Pointer,
    voxels: number,
    leftChannels: number,
    rightChannels: number,
  ): void;
  normalise(
    values: Pointer,
    output: Pointer,
    scale: Pointer,
    shift: Pointer,
    deviation: Pointer,
    voxels: number,
    channels: number,
    slope: number,
  ): void;
  normaliseGradient(
    normalised: Pointer,
    output: Pointer,
    gradient: Pointer,
    scale: Pointer,
    deviation: Pointer,
    scaleGradient: Pointer,
    shiftGradient: Pointer,
    voxels: number,
    channels: number,
    slope: number,
  ): void;
  maxPool(input: Pointer, output: Pointer, ...size: GridSize): void;
  maxPoolGradient(
    input: Pointer,
    output: Pointer,
    outputGradient: Pointer,
    inputGradient: Pointer,
    ...size: GridSize
  ): void;
  doubleGrid(input: Pointer, output: Pointer, ...size: GridSize): void;
  doubleGridGradient(outputGradient: Pointer, inputGradient: Pointer, ...size: GridSize): void;
  head(features: Pointer, weight: Pointer, bias: number, logits: Pointer, voxels: number, channels: number): void;
  headGradient(
    features: Pointer,
    weight: Pointer,
    logitGradient: Pointer,
    featureGradient: Pointer,
    weightGradient: Pointer,
    voxels: number,
    channels: number,
  ): void;
  adam(
    parameters: Pointer,
    gradients: Pointer,
    first: Pointer,
    second: Pointer,
    count: number,
    rate: number,
    beta1: number,
    beta2: number,
    epsilon: number,
    firstCorrection: number,
    secondCorrection: number,
  ): void;
}

export type GridSize = readonly [depth: number, height: number, width: number, channels: number];
export type ConvolutionSize = readonly [
  depth: number,
  height: number,
  width: number,
  inChannels: number,
  outChannels: number,
];

/** Every count of channels is a multiple of this, except the one channel of an image. */
export const CHANNEL_MULTIPLE = 8;

const PAGE_BYTES = 65536;
/** A WebAssembly memory addresses 4 GiB. */
const MAX_PAGES = 65536;
/** Cache line; also more than the 16 that SIMD loads need. */
const ALIGNMENT = 64;
const FLOAT_BYTES = 4;

let compiled: WebAssembly.Module | undefined;

function kernelModule(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(readFileSync(path.join(__dirname, 'kernels.wasm')));
  return compiled;
}

/**
 * One WebAssembly memory with the kernels that work on it. First everything is reserved, then used: a reservation may move
 * the memory, after which older views of it are empty.
 */
export class KernelMemory {
  readonly kernels: Kernels;
  readonly #memory = new WebAssembly.Memory({ initial: 1, maximum: MAX_PAGES });
  /** The first page stays free: the module keeps its few constants there. */
  #end = PAGE_BYTES;

  constructor() {
    const abort = (): never => {
      throw new ClaraError('internal', 'a training kernel stopped itself');
    };
    const instance = new WebAssembly.Instance(kernelModule(), { env: { memory: this.#memory, abort } });
    this.kernels = instance.exports as unknown as Kernels;
  }

  /**
   * Room for `count` floats, zeros.
   *
   * @throws ClaraError resource-exhausted when 4 GiB or the machine's memory is not enough
   */
  reserve(count: number): Pointer {
    const start = this.#end;
    const end = Math.ceil((start + count * FLOAT_BYTES) / ALIGNMENT) * ALIGNMENT;
    const missing = Math.ceil(end / PAGE_BYTES) - this.#memory.buffer.byteLength / PAGE_BYTES;
    if (missing > 0) {
      try {
        this.#memory.grow(missing);
      } catch (error) {
        throw new ClaraError(
          'resource-exhausted',
          `the network needs more than ${end} bytes of memory for one patch, which cannot be had; use a smaller patch or fewer channels`,
          { cause: error },
        );
      }
    }
    this.#end = end;
    return start;
  }

  /** The floats at an address, without a copy; valid until the next {@link reserve}. */
  floats(pointer: Pointer, count: number): Float32Array {
    return new Float32Array(this.#memory.buffer, pointer, count);
  }

  get bytes(): number {
    return this.#memory.buffer.byteLength;
  }
}
