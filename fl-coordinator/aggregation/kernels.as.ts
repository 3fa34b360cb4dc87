// Aggregation kernels, AssemblyScript. Pointers are byte offsets into the imported memory, 16-byte aligned; `n` counts elements
// and is a multiple of 4 (callers pad blocks with zeros). Sums are accumulated in float64 in the order of the calls; nothing is
// fused or reordered, so a result depends on its inputs alone.

// acc[i] = w * x[i], x float32
export function scale32(acc: usize, x: usize, w: f64, n: i32): void {
  const weight = f64x2.splat(w);
  const end = x + (<usize>n << 2);
  while (x < end) {
    const v = v128.load(x);
    v128.store(acc, f64x2.mul(weight, f64x2.promote_low_f32x4(v)));
    v128.store(acc, f64x2.mul(weight, f64x2.promote_low_f32x4(high(v))), 16);
    x += 16;
    acc += 32;
  }
}

// acc[i] += w * x[i], x float32
export function addScaled32(acc: usize, x: usize, w: f64, n: i32): void {
  const weight = f64x2.splat(w);
  const end = x + (<usize>n << 2);
  while (x < end) {
    const v = v128.load(x);
    v128.store(acc, f64x2.add(v128.load(acc), f64x2.mul(weight, f64x2.promote_low_f32x4(v))));
    v128.store(acc, f64x2.add(v128.load(acc, 16), f64x2.mul(weight, f64x2.promote_low_f32x4(high(v)))), 16);
    x += 16;
    acc += 32;
  }
}

// acc[i] = w * x[i], x float64
export function scale64(acc: usize, x: usize, w: f64, n: i32): void {
  const weight = f64x2.splat(w);
  for (let i: usize = 0, bytes = <usize>n << 3; i < bytes; i += 16) {
    v128.store(acc + i, f64x2.mul(weight, v128.load(x + i)));
  }
}

// acc[i] += w * x[i], x float64
export function addScaled64(acc: usize, x: usize, w: f64, n: i32): void {
  const weight = f64x2.splat(w);
  for (let i: usize = 0, bytes = <usize>n << 3; i < bytes; i += 16) {
    v128.store(acc + i, f64x2.add(v128.load(acc + i), f64x2.mul(weight, v128.load(x + i))));
  }
}

// acc[i] /= d
export function divide(acc: usize, d: f64, n: i32): void {
  const divisor = f64x2.splat(d);
  for (const end = acc + (<usize>n << 3); acc < end; acc += 16) v128.store(acc, f64x2.div(v128.load(acc), divisor));
}

// v = beta v + (acc - model); acc = model + lr v; acc and model float64, v kept as float32
export function momentum(acc: usize, model: usize, velocity: usize, lr: f64, beta: f64, n: i32): void {
  const rate = f64x2.splat(lr), decay = f64x2.splat(beta);
  for (const end = acc + (<usize>n << 3); acc < end; acc += 16, model += 16, velocity += 8) {
    const x = v128.load(model);
    const v = f64x2.add(f64x2.mul(decay, promoted(velocity)), f64x2.sub(v128.load(acc), x));
    storeDemoted(velocity, v);
    v128.store(acc, f64x2.add(x, f64x2.mul(rate, v)));
  }
}

// The adaptive optimisers differ in v alone; d = acc - model, c1 = 1 - b1, c2 = 1 - b2:
// m = b1 m + c1 d; v as said below; acc = model + lr m / (sqrt(v) + tau); m and v are kept as float32.

// v = v + d d
export function adagrad(
  acc: usize, model: usize, first: usize, second: usize, lr: f64, beta1: f64, tau: f64, n: i32,
): void {
  const rate = f64x2.splat(lr), floor = f64x2.splat(tau), b1 = f64x2.splat(beta1), c1 = f64x2.splat(1 - beta1);
  for (const end = acc + (<usize>n << 3); acc < end; acc += 16, model += 16, first += 8, second += 8) {
    const x = v128.load(model);
    const d = f64x2.sub(v128.load(acc), x);
    const v = f64x2.add(promoted(second), f64x2.mul(d, d));
    moved(acc, first, second, x, f64x2.add(f64x2.mul(b1, promoted(first)), f64x2.mul(c1, d)), v, rate, floor);
  }
}

// v = b2 v + c2 d d
export function adam(
  acc: usize, model: usize, first: usize, second: usize, lr: f64, beta1: f64, beta2: f64, tau: f64, n: i32,
): void {
  const rate = f64x2.splat(lr), floor = f64x2.splat(tau);
  const b1 = f64x2.splat(beta1), c1 = f64x2.splat(1 - beta1), b2 = f64x2.splat(beta2), c2 = f64x2.splat(1 - beta2);
  for (const end = acc + (<usize>n << 3); acc < end; acc += 16, model += 16, first += 8, second += 8) {
    const x = v128.load(model);
    const d = f64x2.sub(v128.load(acc), x);
    const v = f64x2.add(f64x2.mul(b2, promoted(second)), f64x2.mul(c2, f64x2.mul(d, d)));
    moved(acc, first, second, x, f64x2.add(f64x2.mul(b1, promoted(first)), f64x2.mul(c1, d)), v, rate, floor);
  }
}

// v = v - c2 d d sign(v - d d)
export function yogi(
  acc: usize, model: usize, first: usize, second: usize, lr: f64, beta1: f64, beta2: f64, tau: f64, n: i32,
): void {
  const rate = f64x2.splat(lr), floor = f64x2.splat(tau);
  const b1 = f64x2.splat(beta1), c1 = f64x2.splat(1 - beta1), c2 = f64x2.splat(1 - beta2);
  for (const end = acc + (<usize>n << 3); acc < end; acc += 16, model += 16, first += 8, second += 8) {
    const x = v128.load(model);
    const d = f64x2.sub(v128.load(acc), x);
    const square = f64x2.mul(d, d);
    const before = promoted(second);
    const change = f64x2.mul(c2, square);
    const shrunk = f64x2.sub(before, v128.and(change, f64x2.gt(before, square)));
    const v = f64x2.add(shrunk, v128.and(change, f64x2.lt(before, square)));
    moved(acc, first, second, x, f64x2.add(f64x2.mul(b1, promoted(first)), f64x2.mul(c1, d)), v, rate, floor);
  }
}

// acc[i] = mean of float32 columns[low..up][i], both included, once the columns are sorted coordinate by coordinate. `columns`
// lie `stride` bytes apart and are reordered in place by the comparators in `pairs` (pairs of u32 column numbers). Works through
// tiles that stay in the first-level cache. Sums start at +0, so that a zero is +0, whichever of -0 and 0 stands there.
export function middle32(
  columns: usize, stride: usize, pairs: usize, pairCount: i32, low: i32, up: i32, acc: usize, n: i32,
): void {
  const bytes = <usize>n << 2;
  const count = f64x2.splat(<f64>(up - low + 1));
  for (let begin: usize = 0; begin < bytes; begin += TILE_BYTES) {
    const end = min(begin + TILE_BYTES, bytes);
    sort32(columns, stride, pairs, pairCount, begin, end);
    for (let i = begin; i < end; i += 16) {
      let a = f64x2.splat(0), b = f64x2.splat(0);
      for (let c = columns + i + <usize>low * stride, last = columns + i + <usize>up * stride; c <= last; c += stride) {
        const x = v128.load(c);
        a = f64x2.add(a, f64x2.promote_low_f32x4(x));
        b = f64x2.add(b, f64x2.promote_low_f32x4(high(x)));
      }
      v128.store(acc + (i << 1), f64x2.div(a, count));
      v128.store(acc + (i << 1), f64x2.div(b, count), 16);
    }
  }
}

// As middle32, of float64 columns.
export function middle64(
  columns: usize, stride: usize, pairs: usize, pairCount: i32, low: i32, up: i32, acc: usize, n: i32,
): void {
  const bytes = <usize>n << 3;
  const count = f64x2.splat(<f64>(up - low + 1));
  for (let begin: usize = 0; begin < bytes; begin += TILE_BYTES) {
    const end = min(begin + TILE_BYTES, bytes);
    sort64(columns, stride, pairs, pairCount, begin, end);
    for (let i = begin; i < end; i += 16) {
      let a = f64x2.splat(0);
      for (let c = columns + i + <usize>low * stride, last = columns + i + <usize>up * stride; c <= last; c += stride) {
        a = f64x2.add(a, v128.load(c));
      }
      v128.store(acc + i, f64x2.div(a, count));
    }
  }
}

// x[i] = model[i] + factor (x[i] - model[i]), float32, computed in float64 and rounded once
export function clip32(x: usize, model: usize, factor: f64, n: i32): void {
  const f = f64x2.splat(factor);
  for (const end = x + (<usize>n << 2); x < end; x += 8, model += 8) {
    const from = promoted(model);
    storeDemoted(x, f64x2.add(from, f64x2.mul(f, f64x2.sub(promoted(x), from))));
  }
}

// As clip32, float64.
export function clip64(x: usize, model: usize, factor: f64, n: i32): void {
  const f = f64x2.splat(factor);
  for (const end = x + (<usize>n << 3); x < end; x += 16, model += 16) {
    const from = v128.load(model);
    v128.store(x, f64x2.add(from, f64x2.mul(f, f64x2.sub(v128.load(x), from))));
  }
}

// sum of (x[i] - model[i])^2 over float32, in float64: four sums that are added at the end
export function squaredDistance32(x: usize, model: usize, n: i32): f64 {
  let a = f64x2.splat(0), b = f64x2.splat(0);
  for (const end = x + (<usize>n << 2); x < end; x += 16, model += 16) {
    const d = f64x2.sub(promoted(x), promoted(model));
    const e = f64x2.sub(promoted(x + 8), promoted(model + 8));
    a = f64x2.add(a, f64x2.mul(d, d));
    b = f64x2.add(b, f64x2.mul(e, e));
  }
  return lanes(f64x2.add(a, b));
}

// As squaredDistance32, over float64.
export function squaredDistance64(x: usize, model: usize, n: i32): f64 {
  let a = f64x2.splat(0);
  for (const end = x + (<usize>n << 3); x < end; x += 16, model += 16) {
    const d = f64x2.sub(v128.load(x), v128.load(model));
    a = f64x2.add(a, f64x2.mul(d, d));
  }
  return lanes(a);
}

// out[i] = x[i] - model[i], x and model float32, out float64: exact
export function difference32(x: usize, model: usize, out: usize, n: i32): void {
  for (const end = x + (<usize>n << 2); x < end; x += 8, model += 8, out += 16) {
    v128.store(out, f64x2.sub(promoted(x), promoted(model)));
  }
}

// As difference32, x and model float64
export function difference64(x: usize, model: usize, out: usize, n: i32): void {
  for (const end = x + (<usize>n << 3); x < end; x += 16, model += 16, out += 16) {
    v128.store(out, f64x2.sub(v128.load(x), v128.load(model)));
  }
}

// sums[i * count + j] += rows[i] . rows[j] for all i <= j < count (and some below the diagonal); rows of n float64 lie side by
// side, their count is a multiple of 4. Two rows meet four at a time, which fits the registers. What a pair of rows adds depends
// on the two alone, in either order, and not on where they stand.
export function gram(rows: usize, count: i32, sums: usize, n: i32): void {
  const all = <usize>count;
  const stride = <usize>n << 3;
  for (let i: usize = 0; i < all; i += 2) {
    const a = rows + i * stride;
    for (let j = i & ~3; j < all; j += 4) {
      const b = rows + j * stride;
      const c = b + stride, d = c + stride, e = d + stride;
      let s0 = f64x2.splat(0), s1 = f64x2.splat(0), s2 = f64x2.splat(0), s3 = f64x2.splat(0);
      let t0 = f64x2.splat(0), t1 = f64x2.splat(0), t2 = f64x2.splat(0), t3 = f64x2.splat(0);
      for (let k: usize = 0; k < stride; k += 16) {
        const x = v128.load(a + k);
        const y = v128.load(a + stride + k);
        let z = v128.load(b + k);
        s0 = f64x2.add(s0, f64x2.mul(x, z));
        t0 = f64x2.add(t0, f64x2.mul(y, z));
        z = v128.load(c + k);
        s1 = f64x2.add(s1, f64x2.mul(x, z));
        t1 = f64x2.add(t1, f64x2.mul(y, z));
        z = v128.load(d + k);
        s2 = f64x2.add(s2, f64x2.mul(x, z));
        t2 = f64x2.add(t2, f64x2.mul(y, z));
        z = v128.load(e + k);
        s3 = f64x2.add(s3, f64x2.mul(x, z));
        t3 = f64x2.add(t3, f64x2.mul(y, z));
      }
      const s = sums + ((i * all + j) << 3);
      const t = s + (all << 3);
      f64.store(s, f64.load(s) + lanes(s0));
      f64.store(s, f64.load(s, 8) + lanes(s1), 8);
      f64.store(s, f64.load(s, 16) + lanes(s2), 16);
      f64.store(s, f64.load(s, 24) + lanes(s3), 24);
      f64.store(t, f64.load(t) + lanes(t0));
      f64.store(t, f64.load(t, 8) + lanes(t1), 8);
      f64.store(t, f64.load(t, 16) + lanes(t2), 16);
      f64.store(t, f64.load(t, 24) + lanes(t3), 24);
    }
  }
}

// acc[i] = mean of those `keep` of the `size` float32 values columns[0..size-1][i] that are closest to their median; of two that
// are equally close the lower one. They are a stretch of the sorted values, which goes up for as long as the value above it is
// closer than its lowest one. See middle32 for the rest.
export function closest32(
  columns: usize, stride: usize, pairs: usize, pairCount: i32, size: i32, keep: i32, acc: usize, n: i32,
): void {
  const bytes = <usize>n << 2;
  for (let begin: usize = 0; begin < bytes; begin += TILE_BYTES) {
    const end = min(begin + TILE_BYTES, bytes);
    sort32(columns, stride, pairs, pairCount, begin, end);
    for (let i = begin; i < end; i += 8) {
      const at = columns + i;
      const middle = f64x2.mul(
        f64x2.add(promoted(at + <usize>((size - 1) >> 1) * stride), promoted(at + <usize>(size >> 1) * stride)),
        f64x2.splat(0.5),
      );
      let chosen = f64x2.splat(0);
      for (let s: i32 = 0; s <= size - keep; s++) {
        const first = at + <usize>s * stride;
        const last = first + <usize>(keep - 1) * stride;
        let sum = f64x2.splat(0);
        for (let c = first; c <= last; c += stride) sum = f64x2.add(sum, promoted(c));
        if (s === 0) chosen = sum;
        else {
          const closer = f64x2.lt(f64x2.sub(promoted(last), middle), f64x2.sub(middle, promoted(first - stride)));
          chosen = v128.bitselect(sum, chosen, closer);
        }
      }
      v128.store(acc + (i << 1), f64x2.div(chosen, f64x2.splat(<f64>keep)));
    }
  }
}

// As closest32, of float64 columns.
export function closest64(
  columns: usize, stride: usize, pairs: usize, pairCount: i32, size: i32, keep: i32, acc: usize, n: i32,
): void {
  const bytes = <usize>n << 3;
  for (let begin: usize = 0; begin < bytes; begin += TILE_BYTES) {
    const end = min(begin + TILE_BYTES, bytes);
    sort64(columns, stride, pairs, pairCount, begin, end);
    for (let i = begin; i < end; i += 16) {
      const at = columns + i;
      const middle = f64x2.mul(
        f64x2.add(v128.load(at + <usize>((size - 1) >> 1) * stride), v128.load(at + <usize>(size >> 1) * stride)),
        f64x2.splat(0.5),
      );
      let chosen = f64x2.splat(0);
      for (let s: i32 = 0; s <= size - keep; s++) {
        const first = at + <usize>s * stride;
        const last = first + <usize>(keep - 1) * stride;
        let sum = f64x2.splat(0);
        for (let c = first; c <= last; c += stride) sum = f64x2.add(sum, v128.load(c));
        if (s === 0) chosen = sum;
        else {
          const closer = f64x2.lt(f64x2.sub(v128.load(last), middle), f64x2.sub(middle, v128.load(first - stride)));
          chosen = v128.bitselect(sum, chosen, closer);
        }
      }
      v128.store(acc + i, f64x2.div(chosen, f64x2.splat(<f64>keep)));
    }
  }
}

// out[i] = float32(acc[i]), to nearest even
export function demote(acc: usize, out: usize, n: i32): void {
  for (const end = out + (<usize>n << 2); out < end; out += 16, acc += 32) {
    v128.store(out, join(f32x4.demote_f64x2_zero(v128.load(acc)), f32x4.demote_f64x2_zero(v128.load(acc, 16))));
  }
}

// 1 when every |x[i]| < limit, x float32; NaN is not
export function allBelow32(x: usize, limit: f32, n: i32): i32 {
  const bound = f32x4.splat(limit);
  let all = i32x4.splat(-1);
  for (const end = x + (<usize>n << 2); x < end; x += 16) all = v128.and(all, f32x4.lt(f32x4.abs(v128.load(x)), bound));
  return i32(i32x4.all_true(all));
}

// 1 when every x[i] is finite, x float64
export function allFinite64(x: usize, n: i32): i32 {
  const bound = f64x2.splat(Infinity);
  let all = i32x4.splat(-1);
  for (const end = x + (<usize>n << 3); x < end; x += 16) all = v128.and(all, f64x2.lt(f64x2.abs(v128.load(x)), bound));
  return i32(i32x4.all_true(all));
}

// Widens float16 to float32. The halves lie in the second half of the 4n bytes at x, and are overwritten from the front: what
// is stored never reaches what has not been loaded. Multiplying by 2^112 re-biases the exponent, of subnormals too; an
// exponent of all ones (infinity, NaN) must be given all ones again.
export function widenHalf(x: usize, n: i32): void {
  const magnitude = i32x4.splat(0x7fff), signBit = i32x4.splat(0x8000);
  const top = i32x4.splat(0x7bff), ones = i32x4.splat(0x7f800000), rebias = f32x4.splat(5.192296858534828e33);
  let from = x + (<usize>n << 1);
  for (const end = x + (<usize>n << 2); x < end; x += 16, from += 8) {
    const h = v128.load16x4_u(from);
    const m = v128.and(h, magnitude);
    const f = f32x4.mul(i32x4.shl(m, 13), rebias);
    const special = v128.and(i32x4.gt_s(m, top), ones);
    v128.store(x, v128.or(v128.or(f, special), i32x4.shl(v128.and(h, signBit), 16)));
  }
}

// Widens bfloat16, the upper half of float32, laid out as for widenHalf.
export function widenBrain(x: usize, n: i32): void {
  let from = x + (<usize>n << 1);
  for (const end = x + (<usize>n << 2); x < end; x += 16, from += 8) v128.store(x, i32x4.shl(v128.load16x4_u(from), 16));
}

// Narrows float32 to float16 in place, to nearest even; values must be below 65520. Subnormal halves are multiples of 2^-24:
// adding 0.5, whose last place is 2^-24, rounds to one and leaves its count in the lowest bits.
export function narrowHalf(x: usize, n: i32): void {
  const signBit = i32x4.splat(0x80000000), smallest = i32x4.splat(0x38800000), half = f32x4.splat(0.5);
  let to = x;
  for (const end = x + (<usize>n << 2); x < end; x += 16, to += 8) {
    const v = v128.load(x);
    const sign = v128.and(v, signBit);
    const m = v128.xor(v, sign);
    const odd = v128.and(i32x4.shr_u(m, 13), i32x4.splat(1));
    const normal = i32x4.shr_u(i32x4.add(i32x4.sub(m, i32x4.splat((112 << 23) - 0xfff)), odd), 13);
    const subnormal = i32x4.sub(f32x4.add(m, half), half);
    const bits = v128.bitselect(subnormal, normal, i32x4.lt_s(m, smallest));
    v128.store64_lane(to, pack(v128.or(bits, i32x4.shr_u(sign, 16))), 0);
  }
}

// Narrows float32 to bfloat16 in place, to nearest even; values must be finite after rounding.
export function narrowBrain(x: usize, n: i32): void {
  let to = x;
  for (const end = x + (<usize>n << 2); x < end; x += 16, to += 8) {
    const v = v128.load(x);
    const odd = v128.and(i32x4.shr_u(v, 16), i32x4.splat(1));
    v128.store64_lane(to, pack(i32x4.shr_u(i32x4.add(i32x4.add(v, i32x4.splat(0x7fff)), odd), 16)), 0);
  }
}

// Two columns of 2 KiB fit the first-level cache beside the others that a comparator has just touched.
const TILE_BYTES: usize = 2048;

// @ts-ignore: decorator
@inline function moved(acc: usize, first: usize, second: usize, x: v128, m: v128, v: v128, rate: v128, floor: v128): void {
  storeDemoted(first, m);
  storeDemoted(second, v);
  v128.store(acc, f64x2.add(x, f64x2.div(f64x2.mul(rate, m), f64x2.add(f64x2.sqrt(v), floor))));
}
// Sorts the coordinates from byte `begin` to `end` of each column. A comparator keeps both of two equal values, so that -0 and 0
// are not lost.
function sort32(columns: usize, stride: usize, pairs: usize, pairCount: i32, begin: usize, end: usize): void {
  for (let p = pairs, last = pairs + (<usize>pairCount << 3); p < last; p += 8) {
    const a = columns + <usize>load<u32>(p) * stride;
    const b = columns + <usize>load<u32>(p, 4) * stride;
    for (let i = begin; i < end; i += 16) {
      const x = v128.load(a + i);
      const y = v128.load(b + i);
      v128.store(a + i, f32x4.pmin(x, y));
      v128.store(b + i, f32x4.pmax(y, x));
    }
  }
}

function sort64(columns: usize, stride: usize, pairs: usize, pairCount: i32, begin: usize, end: usize): void {
  for (let p = pairs, last = pairs + (<usize>pairCount << 3); p < last; p += 8) {
    const a = columns + <usize>load<u32>(p) * stride;
    const b = columns + <usize>load<u32>(p, 4) * stride;
    for (let i = begin; i < end; i += 16) {
      const x = v128.load(a + i);
      const y = v128.load(b + i);
      v128.store(a + i, f64x2.pmin(x, y));
      v128.store(b + i, f64x2.pmax(y, x));
    }
  }
}

// @ts-ignore: decorator
@inline function lanes(v: v128): f64 { return f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1); }
// @ts-ignore: decorator
@inline function promoted(at: usize): v128 { return f64x2.promote_low_f32x4(v128.load64_zero(at)); }
// @ts-ignore: decorator
@inline function storeDemoted(at: usize, v: v128): void { v128.store64_lane(at, f32x4.demote_f64x2_zero(v), 0); }
// @ts-ignore: decorator
@inline function high(v: v128): v128 { return i8x16.shuffle(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15); }
// @ts-ignore: decorator
@inline function join(a: v128, b: v128): v128 { return i8x16.shuffle(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23); }
// The low halves of four 32-bit lanes, side by side.
// @ts-ignore: decorator
@inline function pack(v: v128): v128 { return i8x16.shuffle(v, v, 0, 1, 4, 5, 8, 9, 12, 13, 0, 1, 4, 5, 8, 9, 12, 13); }
