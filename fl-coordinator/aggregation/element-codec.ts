import {
  bfloat16OfFloat32,
  type Dtype,
  ELEMENT_BYTES,
  float32OfBfloat16,
  float32OfHalf,
  halfOfFloat32,
} from '../../federation/tensors/dtype';

/**
 * Elements of floating-point tensors as float32, in which blocks are combined, and back. float16 and bfloat16 widen exactly
 * and are rounded once, to nearest even, when the new model is written. float64 tensors are combined at float32 precision:
 * no trainer of this platform keeps weights in float64, and one path is worth more than their last digits.
 */
export function toFloat32(dtype: Dtype, bytes: Buffer, target: Float32Array): void {
  const size = ELEMENT_BYTES[dtype];
  for (let i = 0; i < target.length; i++) {
    const at = i * size;
    if (dtype === 'F16') target[i] = float32OfHalf(bytes.readUInt16LE(at));
    else if (dtype === 'BF16') target[i] = float32OfBfloat16(bytes.readUInt16LE(at));
    else target[i] = bytes.readDoubleLE(at);
  }
}

export function fromFloat32(dtype: Dtype, values: Float32Array): Buffer {
  const size = ELEMENT_BYTES[dtype];
  const bytes = Buffer.allocUnsafe(values.length * size);
  for (let i = 0; i < values.length; i++) {
    const at = i * size;
    if (dtype === 'F16') bytes.writeUInt16LE(halfOfFloat32(values[i]!), at);
    else if (dtype === 'BF16') bytes.writeUInt16LE(bfloat16OfFloat32(values[i]!), at);
    else bytes.writeDoubleLE(values[i]!, at);
  }
  return bytes;
}
