/**
 * Element types of safetensors files (https://github.com/huggingface/safetensors, "Format") and the conversions between
 * float32 and its two 16-bit relatives. All numbers in a file are little-endian, as on every machine this runs on.
 */

export const DTYPES = [
  'F64',
  'F32',
  'F16',
  'BF16',
  'I64',
  'I32',
  'I16',
  'I8',
  'U64',
  'U32',
  'U16',
  'U8',
  'BOOL',
] as const;

export type Dtype = (typeof DTYPES)[number];

/** Element types that can be averaged. */
export type FloatDtype = 'F64' | 'F32' | 'F16' | 'BF16';

export function isFloat(dtype: Dtype): dtype is FloatDtype {
  return dtype === 'F64' || dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';
}

/** Bytes of one element. */
export const ELEMENT_BYTES: Readonly<Record<Dtype, number>> = {
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
};

/**
 * The array that holds elements of each type in memory. F16 and BF16 have none of their own in JavaScript: their bits are
 * kept in a Uint16Array; convert with {@link float32FromHalf} and its siblings.
 */
export interface ArrayOf {
  readonly F64: Float64Array;
  readonly F32: Float32Array;
  readonly F16: Uint16Array;
  readonly BF16: Uint16Array;
  readonly I64: BigInt64Array;
  readonly I32: Int32Array;
  readonly I16: Int16Array;
  readonly I8: Int8Array;
  readonly U64: BigUint64Array;
  readonly U32: Uint32Array;
  readonly U16: Uint16Array;
  readonly U8: Uint8Array;
  readonly BOOL: Uint8Array;
}

export type TensorData = ArrayOf[Dtype];

type ArrayConstructor = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => TensorData;

const ARRAY_CONSTRUCTORS: Readonly<Record<Dtype, ArrayConstructor>> = {
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
};

/** A typed view of `bytes` without a copy. The bytes must start at a multiple of the element size in their buffer. */
export function viewAs<D extends Dtype>(dtype: D, bytes: Uint8Array): ArrayOf[D] {
  const length = bytes.byteLength / ELEMENT_BYTES[dtype];
  return new ARRAY_CONSTRUCTORS[dtype](bytes.buffer, bytes.byteOffset, length) as ArrayOf[D];
}

/** True when `data` is the array type that {@link ArrayOf} names for `dtype`. */
export function holds(dtype: Dtype, data: ArrayBufferView): boolean {
  return data instanceof ARRAY_CONSTRUCTORS[dtype];
}

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

function bitsOfFloat32(value: number): number {
  scratchFloat[0] = value;
  return scratchBits[0];
}

function float32OfBits(bits: number): number {
  scratchBits[0] = bits;
  return scratchFloat[0];
}

/**
 * Bits of the binary16 number (IEEE 754-2019) nearest to the float32 `value`, ties to even; beyond 65504 + half a step
 * infinity; NaN stays NaN. A `value` with more precision than float32 is rounded to float32 first.
 */
export function halfOfFloat32(value: number): number {
  const bits = bitsOfFloat32(value);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00; // 2^16 and above
  if (magnitude >= 0x38800000) {
    // Normal in binary16 (2^-14 and above): re-bias the exponent by 112, drop 13 bits. A carry out of the mantissa moves
    // into the exponent, which is the right answer, up to infinity.
    const rebiased = magnitude - (112 << 23);
    return sign | roundedShift(rebiased, 13);
  }
  if (magnitude < 0x33000000) return sign; // below half of the smallest subnormal, 2^-25
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  return sign | roundedShift(mantissa, 126 - (magnitude >>> 23));
}

/** The float32 value of binary16 bits; exact, since every binary16 number is a float32 number. */
export function float32OfHalf(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0) return (sign ? -1 : 1) * mantissa * 2 ** -24;
  if (exponent === 31) return float32OfBits(sign | 0x7f800000 | (mantissa << 13));
  return float32OfBits(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

/**
 * Bits of the bfloat16 number nearest to the float32 `value`, ties to even; NaN stays NaN. bfloat16 is the upper half of
 * float32. A `value` with more precision than float32 is rounded to float32 first.
 */
export function bfloat16OfFloat32(value: number): number {
  const bits = bitsOfFloat32(value);
  const magnitude = bits & 0x7fffffff;
  const sign = (bits >>> 16) & 0x8000;
  if (magnitude > 0x7f800000) return sign | 0x7fc0;
  return sign | roundedShift(magnitude, 16);
}

/** The float32 value of bfloat16 bits; exact. */
export function float32OfBfloat16(bits: number): number {
  return float32OfBits(bits << 16);
}

/** `value / 2^shift` rounded to the nearest integer, ties to even. `value` is below 2^31. */
function roundedShift(value: number, shift: number): number {
  const half = 1 << (shift - 1);
  const odd = (value >>> shift) & 1;
  return (value + half - 1 + odd) >>> shift;
}

/** Element by element {@link halfOfFloat32}. */
export function halfFromFloat32(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, halfOfFloat32);
}

/** Element by element {@link float32OfHalf}. */
export function float32FromHalf(bits: Uint16Array): Float32Array {
  return mapToFloat32(bits, float32OfHalf);
}

/** Element by element {@link bfloat16OfFloat32}. */
export function bfloat16FromFloat32(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, bfloat16OfFloat32);
}

/** Element by element {@link float32OfBfloat16}. */
export function float32FromBfloat16(bits: Uint16Array): Float32Array {
  return mapToFloat32(bits, float32OfBfloat16);
}

function mapToFloat32(bits: Uint16Array, convert: (bits: number) => number): Float32Array {
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = convert(bits[i]);
  return values;
}
