import { createHash } from 'node:crypto';
import { seededRandom } from '../../../base/random';
import type { Combiner, ServerOptimiser, Strategy } from '../../../federation/strategy';
import {
  bfloat16OfFloat32,
  type Dtype,
  float32OfBfloat16,
  float32OfHalf,
  halfOfFloat32,
} from '../../../federation/tensors/dtype';
import { encodeHeader, parseHeader } from '../../../federation/tensors/header';
import type { TensorSpec } from '../../../federation/tensors/layout';
import { type AggregateRequest, aggregate } from '../../../fl-coordinator/aggregation/aggregate';
import { type ObjectStore, readAll } from '../../../fl-coordinator/storage/object-store';

/** Values by tensor name, in the order of the file. Integers as numbers. */
export type Values = Readonly<Record<string, readonly number[]>>;

export interface ModelTensor extends TensorSpec {
  readonly values: readonly number[];
}

export const REPLACE: ServerOptimiser = { kind: 'replace' };

export const strategyOf = (
  combiner: 'weighted-mean' | 'median' | Combiner,
  serverOptimiser: ServerOptimiser = REPLACE,
  clip?: number,
): Pick<Strategy, 'clip' | 'combiner' | 'serverOptimiser'> => ({
  combiner: typeof combiner === 'string' ? { kind: combiner } : combiner,
  serverOptimiser,
  clip,
});

/** A safetensors file. */
export function fileOf(tensors: readonly ModelTensor[], metadata: Record<string, string> = {}): Buffer {
  return Buffer.concat([encodeHeader(tensors, metadata), ...tensors.map(({ dtype, values }) => encode(dtype, values))]);
}

/** One tensor `w` of one dtype. */
export function vectorFile(values: readonly number[], dtype: Dtype = 'F32'): Buffer {
  return fileOf([{ name: 'w', dtype, shape: [values.length], values }]);
}

export function valuesOf(file: Buffer): Values {
  const { tensors, headerBytes } = parseHeader(file, { fileBytes: file.length });
  const data = file.subarray(headerBytes.length);
  return Object.fromEntries(
    tensors.map(({ name, dtype, begin, end }) => [name, decode(dtype, data.subarray(begin, end))]),
  );
}

export async function readObject(store: ObjectStore, key: string): Promise<Buffer> {
  return readAll(store, key, 1 << 30);
}

export const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Stores the files and aggregates them. @returns the new model's file */
export async function aggregateFiles(
  store: ObjectStore,
  base: Buffer,
  updates: readonly {
    readonly site: string;
    readonly file: Buffer;
    readonly weight?: number;
    readonly steps?: number;
  }[],
  request: Partial<AggregateRequest> & Pick<AggregateRequest, 'strategy'>,
): Promise<Buffer> {
  await store.put('base', base);
  for (const { site, file } of updates) await store.put(`updates/${site}`, file);
  const target = request.target ?? 'model';
  const { digest, bytes } = await aggregate({
    store,
    base: 'base',
    contributions: updates.map(({ site, weight = 1, steps = 0 }) => ({ site, key: `updates/${site}`, weight, steps })),
    excluded: [],
    target,
    signal: new AbortController().signal,
    ...request,
  });
  const file = await readObject(store, target);
  if (digest !== digestOf(file) || bytes !== file.length) throw new Error('the answer is not about the stored model');
  return file;
}

/** Normal numbers that the dtype holds exactly, so that reference and kernels start from the same values. */
export function randomValues(seed: number, count: number, dtype: Dtype = 'F32'): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => roundedTo(dtype, random.normal()));
}

/** What a value becomes in a type; 16-bit types are reached by way of float32. */
export function roundedTo(dtype: Dtype, value: number): number {
  switch (dtype) {
    case 'F64':
      return value;
    case 'F16':
      return float32OfHalf(halfOfFloat32(Math.fround(value)));
    case 'BF16':
      return float32OfBfloat16(bfloat16OfFloat32(Math.fround(value)));
    default:
      return Math.fround(value);
  }
}

export function encode(dtype: Dtype, values: readonly number[]): Buffer {
  const { bytes, write } = CODECS[dtype as keyof typeof CODECS];
  const buffer = Buffer.alloc(values.length * bytes);
  values.forEach((value, i) => {
    write(buffer, value, i * bytes);
  });
  return buffer;
}

export function decode(dtype: Dtype, buffer: Buffer): number[] {
  const { bytes, read } = CODECS[dtype as keyof typeof CODECS];
  return Array.from({ length: buffer.length / bytes }, (_, i) => read(buffer, i * bytes));
}

interface Codec {
  readonly bytes: number;
  write(buffer: Buffer, value: number, at: number): void;
  read(buffer: Buffer, at: number): number;
}

const CODECS = {
  F64: { bytes: 8, write: (b, v, at) => b.writeDoubleLE(v, at), read: (b, at) => b.readDoubleLE(at) },
  F32: { bytes: 4, write: (b, v, at) => b.writeFloatLE(v, at), read: (b, at) => b.readFloatLE(at) },
  F16: {
    bytes: 2,
    write: (b, v, at) => b.writeUInt16LE(halfOfFloat32(v), at),
    read: (b, at) => float32OfHalf(b.readUInt16LE(at)),
  },
  BF16: {
    bytes: 2,
    write: (b, v, at) => b.writeUInt16LE(bfloat16OfFloat32(v), at),
    read: (b, at) => float32OfBfloat16(b.readUInt16LE(at)),
  },
  I64: {
    bytes: 8,
    write: (b, v, at) => b.writeBigInt64LE(BigInt(v), at),
    read: (b, at) => Number(b.readBigInt64LE(at)),
  },
  U8: { bytes: 1, write: (b, v, at) => b.writeUInt8(v, at), read: (b, at) => b.readUInt8(at) },
} satisfies Partial<Record<Dtype, Codec>>;
