import fc from 'fast-check';

/** What the format says of its types, written down once more, so that the tests do not ask the code they check. */
const BYTES_OF = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

export type TestDtype = keyof typeof BYTES_OF;

const ARRAYS_OF = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;

/** A header as another program might write it: any text after a length prefix. */
export function headerOf(json: string | object, announced?: bigint): Uint8Array {
  const text = Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(announced ?? BigInt(text.length));
  return Buffer.concat([prefix, text]);
}

export interface SampleTensor {
  readonly name: string;
  readonly dtype: TestDtype;
  readonly shape: readonly number[];
}

export const anyDtype = fc.constantFrom(...(Object.keys(BYTES_OF) as TestDtype[]));

const anyName = fc.oneof(
  fc.stringMatching(/^[a-z]{1,6}\.[a-z0-9_.]{1,10}$/),
  fc.constantFrom('0', '17', '__proto__', 'constructor', 'größe', 'a"b\\c', '脾臓', ' '),
);

/** Some tensors with distinct names, few elements, scalars and empty ones among them. */
export const anyTensors: fc.Arbitrary<SampleTensor[]> = fc.uniqueArray(
  fc.record({ name: anyName, dtype: anyDtype, shape: fc.array(fc.nat(4), { maxLength: 4 }) }),
  { selector: (tensor) => tensor.name, maxLength: 8 },
);

export const anyMetadata = fc.dictionary(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), { maxKeys: 3 });

export function bytesOf(tensor: SampleTensor): number {
  let bytes = BYTES_OF[tensor.dtype];
  for (const size of tensor.shape) bytes *= size;
  return bytes;
}

/** Data that differ from byte to byte, in the array type of the dtype. */
export function dataOf(tensor: SampleTensor, seed = 0): InstanceType<(typeof ARRAYS_OF)[TestDtype]> {
  const bytes = Uint8Array.from({ length: bytesOf(tensor) }, (_, i) => (seed * 31 + i * 7 + 1) % 251);
  return new ARRAYS_OF[tensor.dtype](bytes.buffer);
}
