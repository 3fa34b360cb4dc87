// The arithmetic of multinomial logistic regression in AssemblyScript with 128-bit SIMD; `scripts/build-kernels.ts` makes
// kernels.wasm of it. Weights, gradients and inputs are float32, all else is float64; what is stored as float32 is rounded once.
// The order of every sum is fixed: the same numbers give the same bytes on every machine. Pointers need no alignment.

// scores[k] = biases[k] + sum_i weights[k][i] * input[i], in four sums of every fourth i that are added up in pairs
export function scores(weights: usize, biases: usize, input: usize, features: i32, classes: i32, out: usize): void {
  const rowBytes = <usize>features << 2;
  const wholeBytes = <usize>(features & ~3) << 2;
  for (let k = 0; k < classes; k++, weights += rowBytes, biases += 4, out += 8) {
    let a = f64x2.splat(0), b = f64x2.splat(0);
    for (let i: usize = 0; i < wholeBytes; i += 16) {
      const w = v128.load(weights + i), x = v128.load(input + i);
      a = f64x2.add(a, f64x2.mul(f64x2.promote_low_f32x4(w), f64x2.promote_low_f32x4(x)));
      b = f64x2.add(b, f64x2.mul(f64x2.promote_low_f32x4(high(w)), f64x2.promote_low_f32x4(high(x))));
    }
    let first = f64x2.extract_lane(a, 0);
    for (let i = wholeBytes; i < rowBytes; i += 4) first += <f64>load<f32>(weights + i) * <f64>load<f32>(input + i);
    const sum = first + f64x2.extract_lane(a, 1) + (f64x2.extract_lane(b, 0) + f64x2.extract_lane(b, 1));
    store<f64>(out, <f64>load<f32>(biases) + sum);
  }
}

// gradient[k][i] += errors[k] * input[i]; the gradient of bias k += errors[k]
export function addOuter(gradient: usize, biases: usize, input: usize, features: i32, classes: i32, errors: usize): void {
  const rowBytes = <usize>features << 2;
  const wholeBytes = <usize>(features & ~3) << 2;
  for (let k = 0; k < classes; k++, gradient += rowBytes, biases += 4, errors += 8) {
    const error = load<f64>(errors), factor = f64x2.splat(error);
    for (let i: usize = 0; i < wholeBytes; i += 16) {
      const g = v128.load(gradient + i), x = v128.load(input + i);
      const low = f64x2.add(f64x2.promote_low_f32x4(g), f64x2.mul(factor, f64x2.promote_low_f32x4(x)));
      const up = f64x2.add(f64x2.promote_low_f32x4(high(g)), f64x2.mul(factor, f64x2.promote_low_f32x4(high(x))));
      v128.store(gradient + i, demoted(low, up));
    }
    for (let i = wholeBytes; i < rowBytes; i += 4) {
      store<f32>(gradient + i, <f32>(<f64>load<f32>(gradient + i) + error * <f64>load<f32>(input + i)));
    }
    store<f32>(biases, <f32>(<f64>load<f32>(biases) + error));
  }
}

// w[i] -= rate * (gradient[i] + regularisation * w[i])
export function descend(weights: usize, gradient: usize, rate: f64, regularisation: f64, n: i32): void {
  const r = f64x2.splat(rate), l = f64x2.splat(regularisation);
  const end = weights + (<usize>n << 2), whole = weights + (<usize>(n & ~3) << 2);
  for (; weights < whole; weights += 16, gradient += 16) {
    const w = v128.load(weights), g = v128.load(gradient);
    const low = moved(f64x2.promote_low_f32x4(w), f64x2.promote_low_f32x4(g), r, l);
    const up = moved(f64x2.promote_low_f32x4(high(w)), f64x2.promote_low_f32x4(high(g)), r, l);
    v128.store(weights, demoted(low, up));
  }
  for (; weights < end; weights += 4, gradient += 4) {
    const w = <f64>load<f32>(weights);
    store<f32>(weights, <f32>(w - rate * (<f64>load<f32>(gradient) + regularisation * w)));
  }
}

// @ts-ignore: decorator
@inline
function moved(w: v128, g: v128, rate: v128, regularisation: v128): v128 {
  return f64x2.sub(w, f64x2.mul(rate, f64x2.add(g, f64x2.mul(regularisation, w))));
}

// @ts-ignore: decorator
@inline
function high(x: v128): v128 {
  return v128.shuffle<f32>(x, x, 2, 3, 2, 3);
}

// @ts-ignore: decorator
@inline
function demoted(low: v128, up: v128): v128 {
  return v128.shuffle<f32>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(up), 0, 1, 4, 5);
}
