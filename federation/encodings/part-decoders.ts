import type { Fault } from '../../base/errors';
import type { TensorInfo } from '../tensors/layout';
import { type Block, BlockReader } from './blocks';
import { alignedBytes, BLOCK_ELEMENTS } from './elements';
import type { Encoding } from './encoding';
import { INT8_BLOCK, int8Value } from './int8';
import type { TensorBytes } from './tensor-bytes';
import { keptOfBlock } from './top-k';

/** Fills `into` with the numbers of a block. @returns what is wrong with its bytes, if anything */
export type BlockDecoder = (block: Block, into: Float64Array) => Promise<Fault | undefined>;

/** How a tensor is read back from its parts. */
export function partDecoder(encoding: Encoding, file: TensorBytes, parts: readonly TensorInfo[]): BlockDecoder {
  switch (encoding.encoding) {
    case 'int8':
      return int8Decoder(file, parts[0]!, parts[1]!);
    case 'top-k':
      return topKDecoder(encoding.fraction, file, parts[0]!, parts[1]!);
    default: {
      const reader = new BlockReader(file);
      return async (block, into) => {
        await reader.read(parts[0]!.name, block, into);
        return undefined;
      };
    }
  }
}

function int8Decoder(file: TensorBytes, values: TensorInfo, scales: TensorInfo): BlockDecoder {
  const codes = new Int8Array(BLOCK_ELEMENTS);
  const factors = new Float32Array(BLOCK_ELEMENTS / INT8_BLOCK);
  return async ({ first, elements }, into) => {
    const count = Math.ceil(elements / INT8_BLOCK);
    await file.read(values.begin + first, new Uint8Array(codes.buffer, 0, elements));
    await file.read(scales.begin + (first / INT8_BLOCK) * 4, new Uint8Array(factors.buffer, 0, count * 4));
    for (let i = 0; i < elements; i++) into[i] = int8Value(codes[i]!, factors[Math.floor(i / INT8_BLOCK)]!);
    const bad = factors.subarray(0, count).findIndex((scale) => !(scale >= 0 && scale < Number.POSITIVE_INFINITY));
    if (bad < 0) return undefined;
    const rule = 'must be a finite number that is not negative';
    return { path: scales.name, value: `scale ${first / INT8_BLOCK + bad} is ${factors[bad]}`, rule };
  };
}

function topKDecoder(fraction: number, file: TensorBytes, values: TensorInfo, indices: TensorInfo): BlockDecoder {
  const perBlock = keptOfBlock(BLOCK_ELEMENTS, fraction);
  const floats = alignedBytes(perBlock * 4);
  const places = alignedBytes(perBlock * 2);
  return async ({ first, elements }, into) => {
    const before = (first / BLOCK_ELEMENTS) * perBlock;
    const count = keptOfBlock(elements, fraction);
    await file.read(values.begin + before * 4, floats.subarray(0, count * 4));
    await file.read(indices.begin + before * 2, places.subarray(0, count * 2));
    into.fill(0);
    for (let i = 0, last = -1; i < count; i++) {
      const place = places.readUInt16LE(i * 2);
      if (place <= last || place >= elements) {
        const rule = `must ascend and lie below ${elements}, the elements of their block`;
        return { path: indices.name, value: `index ${before + i} is ${place} after ${last}`, rule };
      }
      into[place] = floats.readFloatLE(i * 4);
      last = place;
    }
    return undefined;
  };
}
