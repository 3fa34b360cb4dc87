// Looks for numbers that are not finite, AssemblyScript. See ExponentPattern in finite-scan.ts for how a word tells.

// 1 when a word of the `bytes` bytes at `at` carries out of its exponent, else 0. `bytes` is a multiple of 16.
export function mayHoldNonFinite(
  at: usize, bytes: i32, evenMask: i32, evenOne: i32, oddMask: i32, oddOne: i32, carry: i32,
): i32 {
  const mask = i64x2.splat((<i64>oddMask << 32) | (<i64>evenMask & 0xffffffff));
  const one = i64x2.splat((<i64>oddOne << 32) | (<i64>evenOne & 0xffffffff));
  const end = at + <usize>bytes;
  let seen = i32x4.splat(0);
  for (; at + 64 <= end; at += 64) {
    const a = v128.or(carried(at, mask, one), carried(at + 16, mask, one));
    const b = v128.or(carried(at + 32, mask, one), carried(at + 48, mask, one));
    seen = v128.or(seen, v128.or(a, b));
  }
  for (; at < end; at += 16) seen = v128.or(seen, carried(at, mask, one));
  return i32(v128.any_true(v128.and(seen, i32x4.splat(carry))));
}

// @ts-ignore: decorator
@inline
function carried(at: usize, mask: v128, one: v128): v128 {
  return i32x4.add(v128.and(v128.load(at), mask), one);
}
