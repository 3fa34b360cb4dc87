import type { TensorBytes } from '../../../federation/encodings/tensor-bytes';
import { type Dtype, ELEMENT_BYTES } from '../../../federation/tensors/dtype';
import { encodeHeader, headerLength, parseHeader } from '../../../federation/tensors/header';

export interface SampleTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape?: readonly number[];
  /** Little-endian. */
  readonly bytes: Uint8Array;
}

export const float32 = (name: string, values: Iterable<number>, shape?: readonly number[]): SampleTensor => ({
  name,
  dtype: 'F32',
  ...(shape && { shape }),
  bytes: new Uint8Array(Float32Array.from(values).buffer),
});

export function fileOf(tensors: readonly SampleTensor[], metadata: Readonly<Record<string, string>> = {}): Buffer {
  const specs = tensors.map(({ name, dtype, shape, bytes }) => ({
    ...{ name, dtype, shape: shape ?? [bytes.length / ELEMENT_BYTES[dtype]] },
  }));
  return Buffer.concat([encodeHeader(specs, metadata), ...tensors.map(({ bytes }) => bytes)]);
}

/** A file in memory. */
export function inMemory(file: Buffer): TensorBytes & { readonly reads: number[] } {
  const layout = parseHeader(file.subarray(0, headerLength(file.subarray(0, 8))), { fileBytes: file.length });
  const reads: number[] = [];
  return {
    layout,
    reads,
    read: async (begin, target) => {
      reads.push(target.length);
      const start = layout.headerBytes.length + begin;
      target.set(file.subarray(start, start + target.length));
    },
  };
}

/** The bytes of a tensor in a file. */
export function bytesOf(file: Buffer, name: string): Buffer {
  const { layout } = inMemory(file);
  const { begin, end } = layout.tensors.find((tensor) => tensor.name === name)!;
  return Buffer.from(file.subarray(layout.headerBytes.length + begin, layout.headerBytes.length + end));
}

export function floatsOf(file: Buffer, name: string): Float32Array {
  return new Float32Array(Uint8Array.from(bytesOf(file, name)).buffer);
}

export async function collected(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(Buffer.from(piece));
  return Buffer.concat(all);
}
