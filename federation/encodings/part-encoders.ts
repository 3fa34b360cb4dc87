import { deriveSeed, seededRandom } from '../../base/random';
import { ELEMENT_BYTES, type FloatDtype } from '../tensors/dtype';
import type { TensorSpec } from '../tensors/layout';
import { alignedBytes, BLOCK_ELEMENTS, narrow } from './elements';
import type { Encoding } from './encoding';
import { INT8_BLOCK, int8Codes, int8Scale } from './int8';
import { keptOfBlock, largestIndices } from './top-k';

/** The bytes of one part for a block of numbers; valid until the next call. */
export type PartEncoder = (values: Float64Array) => {
  readonly bytes: Uint8Array;
  /** The first number of the block that the encoding cannot hold. */
  readonly misfit?: number | undefined;
};

/**
 * How a part of a tensor is made. An encoder is used for the blocks of its tensor in their order, so that draws of stochastic
 * rounding belong to elements.
 */
export function partEncoder(
  part: TensorSpec,
  index: number,
  { encoding, seed }: { readonly encoding: Encoding; readonly seed: number },
): PartEncoder {
  switch (encoding.encoding) {
    case 'int8':
      return index === 0 ? int8Encoder(deriveSeed(seed, part.name), encoding.rounding) : scaleEncoder();
    case 'top-k':
      return topKEncoder(encoding.fraction, index === 0 ? 'values' : 'indices');
    default:
      return floatEncoder(part.dtype as FloatDtype);
  }
}

function floatEncoder(dtype: FloatDtype): PartEncoder {
  const memory = alignedBytes(BLOCK_ELEMENTS * ELEMENT_BYTES[dtype]);
  return (values) => {
    const bytes = memory.subarray(0, values.length * ELEMENT_BYTES[dtype]);
    return { bytes, misfit: asMisfit(narrow(dtype, values, bytes)) };
  };
}

function int8Encoder(seed: number, rounding: 'nearest' | 'stochastic'): PartEncoder {
  const codes = new Int8Array(BLOCK_ELEMENTS);
  const random = seededRandom(seed);
  return (values) => {
    for (let begin = 0; begin < values.length; begin += INT8_BLOCK) {
      const block = values.subarray(begin, begin + INT8_BLOCK);
      // Without a scale the codes mean nothing: the part of the scales says so.
      const scale = int8Scale(block) ?? 0;
      int8Codes(block, scale, rounding, random, codes.subarray(begin, begin + block.length));
    }
    return { bytes: new Uint8Array(codes.buffer, 0, values.length) };
  };
}

function scaleEncoder(): PartEncoder {
  const scales = new Float32Array(BLOCK_ELEMENTS / INT8_BLOCK);
  return (values) => {
    let misfit: number | undefined;
    const blocks = Math.ceil(values.length / INT8_BLOCK);
    for (let i = 0; i < blocks; i++) {
      const block = values.subarray(i * INT8_BLOCK, (i + 1) * INT8_BLOCK);
      const scale = int8Scale(block);
      scales[i] = scale ?? 0;
      if (scale === undefined) misfit ??= i * INT8_BLOCK + block.findIndex((x) => !Number.isFinite(Math.fround(x)));
    }
    return { bytes: new Uint8Array(scales.buffer, 0, blocks * 4), misfit };
  };
}

function topKEncoder(fraction: number, part: 'values' | 'indices'): PartEncoder {
  const rounded = new Float32Array(BLOCK_ELEMENTS);
  const indices = new Uint16Array(BLOCK_ELEMENTS);
  const kept = new Float32Array(BLOCK_ELEMENTS);
  return (values) => {
    const block = rounded.subarray(0, values.length);
    block.set(values);
    const largest = indices.subarray(0, keptOfBlock(values.length, fraction));
    largestIndices(block, largest.length, largest);
    if (part === 'indices') return { bytes: new Uint8Array(largest.buffer, 0, largest.byteLength) };
    for (let i = 0; i < largest.length; i++) kept[i] = block[largest[i]!]!;
    const bytes = new Uint8Array(kept.buffer, 0, largest.length * 4);
    return { bytes, misfit: asMisfit(block.findIndex((value) => !Number.isFinite(value))) };
  };
}

function asMisfit(index: number): number | undefined {
  return index < 0 ? undefined : index;
}
