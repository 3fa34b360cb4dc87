import { ELEMENT_BYTES, type FloatDtype } from '../tensors/dtype';
import type { TensorInfo } from '../tensors/layout';
import { alignedBytes, BLOCK_ELEMENTS, widen } from './elements';
import type { EncodedTensor } from './encoded-layout';
import type { TensorBytes } from './tensor-bytes';

export type FloatTensor = Extract<EncodedTensor, { treatment: 'encode' }>;

/** A piece of a tensor that is worked on at once. */
export interface Block {
  /** Index of its first element in the tensor. */
  readonly first: number;
  readonly elements: number;
}

export function* blocksOf({ elements }: FloatTensor): Generator<Block> {
  for (let first = 0; first < elements; first += BLOCK_ELEMENTS) {
    yield { first, elements: Math.min(BLOCK_ELEMENTS, elements - first) };
  }
}

/** Reads blocks of the float tensors of a file, as float64. */
export class BlockReader {
  readonly #bytes = alignedBytes(BLOCK_ELEMENTS * 8);
  readonly #places: ReadonlyMap<string, TensorInfo>;

  /** @param source has every tensor that will be asked for, by name */
  constructor(private readonly source: TensorBytes) {
    this.#places = new Map(source.layout.tensors.map((tensor) => [tensor.name, tensor]));
  }

  /** @returns the numbers in `into`, as many as the block has */
  async read(name: string, { first, elements }: Block, into: Float64Array): Promise<Float64Array> {
    const { dtype, begin } = this.#places.get(name) as TensorInfo & { readonly dtype: FloatDtype };
    const size = ELEMENT_BYTES[dtype];
    const bytes = this.#bytes.subarray(0, elements * size);
    await this.source.read(begin + first * size, bytes);
    const values = into.subarray(0, elements);
    widen(dtype, bytes, values);
    return values;
  }
}
