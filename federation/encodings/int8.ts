import type { RandomSource } from '../../base/random';
import type { Rounding } from './encoding';

/**
 * Block-wise linear quantisation (Dettmers 2022, "8-bit optimizers via block-wise quantization", section 2.1, with linear
 * codes): each block of 256 numbers has a float32 scale s, and a number x becomes the code q = round(x / s), |q| <= 127. It is
 * read back as the float32 nearest to q s, so |error| <= s / 2 (nearest) or < s (stochastic), beside float32 rounding.
 *
 * s is the smallest float32 that is not below max|x| / 127, so the largest number of a block never needs a code beyond 127, and
 * numbers so small that s would round to 0 keep a subnormal scale. A block of zeros has s = 0. The sign of a zero is lost.
 */
export const INT8_BLOCK = 256;
const LARGEST_CODE = 127;
const FLOAT32_MAX = (2 - 2 ** -23) * 2 ** 127;

/** @returns undefined when a float32 scale cannot hold the block's largest number */
export function int8Scale(values: Float64Array): number | undefined {
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i]!);
    if (magnitude > largest) largest = magnitude;
  }
  if (largest > FLOAT32_MAX) return undefined;
  const wanted = largest / LARGEST_CODE;
  let scale = Math.fround(wanted);
  if (scale < wanted) scale = neighbour(scale, 1);
  // The largest code must stay finite when it is read back; it is clamped to 127 then, half a step too low at most.
  return Number.isFinite(Math.fround(LARGEST_CODE * scale)) ? scale : neighbour(scale, -1);
}

/** Codes of one block. @param random a draw a number, for stochastic rounding */
export function int8Codes(
  values: Float64Array,
  scale: number,
  rounding: Rounding,
  random: RandomSource,
  into: Int8Array,
): void {
  for (let i = 0; i < values.length; i++) {
    const exact = scale === 0 ? 0 : values[i]! / scale;
    const code = rounding === 'nearest' ? nearestEven(exact) : Math.floor(exact + random.uniform());
    into[i] = Math.max(-LARGEST_CODE, Math.min(LARGEST_CODE, code));
  }
}

/** The number that a code stands for. */
export function int8Value(code: number, scale: number): number {
  return Math.fround(code * scale);
}

function nearestEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);

/** The next float32 above (1) or below (-1) a number that is not negative. */
function neighbour(value: number, step: 1 | -1): number {
  float[0] = value;
  bits[0]! += step;
  return float[0]!;
}
