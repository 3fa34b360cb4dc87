import {
  bfloat16OfFloat32,
  type FloatDtype,
  float32OfBfloat16,
  float32OfHalf,
  halfOfFloat32,
  viewAs,
} from '../tensors/dtype';

/** Elements that are worked on at once: a multiple of every block of every encoding. 512 KiB of float64. */
export const BLOCK_ELEMENTS = 65536;

/** Numbers of any float type as float64, which holds each of them exactly. `bytes` are aligned for the type. */
export function widen(dtype: FloatDtype, bytes: Uint8Array, into: Float64Array): void {
  switch (dtype) {
    case 'F64':
    case 'F32':
      into.set(viewAs(dtype, bytes));
      return;
    case 'F16':
    case 'BF16': {
      const bits = viewAs(dtype, bytes);
      const convert = dtype === 'F16' ? float32OfHalf : float32OfBfloat16;
      for (let i = 0; i < bits.length; i++) into[i] = convert(bits[i]!);
    }
  }
}

/**
 * Rounds float64 numbers to a float type: to nearest even, the 16-bit types by way of float32.
 * @param into aligned for the type
 * @returns the index of the first number that is too large for the type (or was not finite), -1 when all fit
 */
export function narrow(dtype: FloatDtype, values: Float64Array, into: Uint8Array): number {
  if (dtype === 'F64' || dtype === 'F32') {
    const out = viewAs(dtype, into);
    out.set(values);
    return out.findIndex((value) => !Number.isFinite(value));
  }
  const bits = viewAs(dtype, into);
  const convert = dtype === 'F16' ? halfOfFloat32 : bfloat16OfFloat32;
  const exponent = dtype === 'F16' ? 0x7c00 : 0x7f80;
  let bad = -1;
  for (let i = 0; i < bits.length; i++) {
    bits[i] = convert(values[i]!);
    if ((bits[i]! & exponent) === exponent && bad < 0) bad = i;
  }
  return bad;
}

/** Memory of its own, aligned for every type. */
export function alignedBytes(length: number): Buffer {
  return Buffer.allocUnsafeSlow(length);
}
