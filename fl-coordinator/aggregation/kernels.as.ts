// Aggregation kernels, AssemblyScript. Every pointer is a byte offset into the imported memory, 16-byte aligned; `n` counts
// elements and is a multiple of 4 (callers pad blocks). Sums are accumulated in float64, in the order of the calls, so that a
// result depends on nothing but its inputs.

// acc[i] = w * x[i]
export function scale(acc: usize, x: usize, w: f64, n: i32): void {
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

// acc[i] += w * x[i]
export function addScaled(acc: usize, x: usize, w: f64, n: i32): void {
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

// out[i] = float32(acc[i])
export function replace(acc: usize, out: usize, n: i32): void {
  const end = out + (<usize>n << 2);
  while (out < end) {
    v128.store(out, join(f32x4.demote_f64x2_zero(v128.load(acc)), f32x4.demote_f64x2_zero(v128.load(acc, 16))));
    acc += 32;
    out += 16;
  }
}

// v = beta v + (acc - model); out = model + lr v; v is kept as float32
export function momentum(acc: usize, model: usize, velocity: usize, out: usize, lr: f64, beta: f64, n: i32): void {
  for (let i: usize = 0; i < <usize>n; i++) {
    const at = i << 2;
    const x = <f64>load<f32>(model + at);
    const v = beta * <f64>load<f32>(velocity + at) + (load<f64>(acc + (i << 3)) - x);
    store<f32>(velocity + at, <f32>v);
    store<f32>(out + at, <f32>(x + lr * v));
  }
}

// m = b1 m + (1 - b1) d; v = b2 v + (1 - b2) d d; out = model + lr m / (sqrt(v) + tau), d = acc - model; m, v as float32
export function adam(
  acc: usize, model: usize, first: usize, second: usize, out: usize, lr: f64, beta1: f64, beta2: f64, tau: f64, n: i32,
): void {
  for (let i: usize = 0; i < <usize>n; i++) {
    const at = i << 2;
    const x = <f64>load<f32>(model + at);
    const d = load<f64>(acc + (i << 3)) - x;
    const m = beta1 * <f64>load<f32>(first + at) + (1 - beta1) * d;
    const v = beta2 * <f64>load<f32>(second + at) + (1 - beta2) * d * d;
    store<f32>(first + at, <f32>m);
    store<f32>(second + at, <f32>v);
    store<f32>(out + at, <f32>(x + (lr * m) / (Math.sqrt(v) + tau)));
  }
}

// acc[i] = median over columns[c][i]. `columns` lie `stride` bytes apart and are sorted in place by the comparators in
// `pairs` (pairs of u32 column numbers); low and high are the middle columns, equal when their number is odd. Works through
// tiles that stay in the first-level cache.
export function median(
  columns: usize, stride: usize, pairs: usize, pairCount: i32, low: i32, high_: i32, acc: usize, n: i32,
): void {
  const tile: usize = 512 << 2;
  const bytes: usize = <usize>n << 2;
  const half = f64x2.splat(0.5);
  for (let begin: usize = 0; begin < bytes; begin += tile) {
    const end = min(begin + tile, bytes);
    for (let p = 0; p < pairCount; p++) {
      const a = columns + <usize>load<u32>(pairs + (<usize>p << 3)) * stride;
      const b = columns + <usize>load<u32>(pairs + (<usize>p << 3), 4) * stride;
      for (let i = begin; i < end; i += 16) {
        const x = v128.load(a + i);
        const y = v128.load(b + i);
        v128.store(a + i, f32x4.min(x, y));
        v128.store(b + i, f32x4.max(x, y));
      }
    }
    const l = columns + <usize>low * stride;
    const h = columns + <usize>high_ * stride;
    for (let i = begin; i < end; i += 16) {
      const x = v128.load(l + i);
      const y = v128.load(h + i);
      const o = acc + (i << 1);
      v128.store(o, f64x2.mul(half, f64x2.add(f64x2.promote_low_f32x4(x), f64x2.promote_low_f32x4(y))));
      v128.store(o, f64x2.mul(half, f64x2.add(f64x2.promote_low_f32x4(high(x)), f64x2.promote_low_f32x4(high(y)))), 16);
    }
  }
}

@inline function high(v: v128): v128 { return i8x16.shuffle(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15); }
@inline function join(a: v128, b: v128): v128 { return i8x16.shuffle(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23); }
