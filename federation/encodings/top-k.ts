import { BLOCK_ELEMENTS } from './elements';

/**
 * Top-k sparsification with error feedback (Stich 2018, "Sparsified SGD with memory"): of change + residual the numbers with the
 * largest magnitude travel, the others are the next round's residual. Here k is a share of each block of 65,536 elements, not
 * of the whole model: what the method needs (the square of what stays is at most 1 - k/d of the square of the whole) holds
 * block by block, memory is one block, and indices fit into 16 bits.
 *
 * All blocks of a tensor but the last have the same k, so the place of each is known without reading the others.
 */
export function keptOf(elements: number, fraction: number): number {
  const whole = Math.floor(elements / BLOCK_ELEMENTS);
  return whole * keptOfBlock(BLOCK_ELEMENTS, fraction) + keptOfBlock(elements % BLOCK_ELEMENTS, fraction);
}

/** Rounded up: a tensor of one element still learns. */
export function keptOfBlock(elements: number, fraction: number): number {
  return Math.ceil(elements * fraction);
}

const SHIFT = 15;
const LOW = (1 << SHIFT) - 1;
const counts = new Uint32Array(1 << 16);

/**
 * Indices of the k numbers of largest magnitude, ascending; of equal ones the first. Magnitudes of float32 order as their bits
 * do, so counting their upper and then their lower halves finds the k-th without sorting.
 */
export function largestIndices(values: Float32Array, k: number, into: Uint16Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const upper = kthBucket(bits, k, (magnitude) => magnitude >>> SHIFT);
  const lower = kthBucket(bits, k - upper.above, (magnitude) =>
    magnitude >>> SHIFT === upper.bucket ? magnitude & LOW : -1,
  );
  const threshold = upper.bucket * (LOW + 1) + lower.bucket;
  let equal = k - upper.above - lower.above;
  let found = 0;
  for (let i = 0; found < k; i++) {
    const magnitude = bits[i]! & 0x7fffffff;
    if (magnitude < threshold || (magnitude === threshold && equal-- <= 0)) continue;
    into[found++] = i;
  }
}

/** The bucket in which the k-th largest lies, and how many lie in buckets above it. @param bucketOf -1: not counted */
function kthBucket(
  bits: Uint32Array,
  k: number,
  bucketOf: (magnitude: number) => number,
): { readonly bucket: number; readonly above: number } {
  counts.fill(0);
  for (let i = 0; i < bits.length; i++) {
    const bucket = bucketOf(bits[i]! & 0x7fffffff);
    if (bucket >= 0) counts[bucket]!++;
  }
  let above = 0;
  for (let bucket = counts.length - 1; ; bucket--) {
    if (above + counts[bucket]! >= k || bucket === 0) return { bucket, above };
    above += counts[bucket]!;
  }
}
