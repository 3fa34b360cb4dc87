/**
 * The arithmetic of the 3D U-Net in AssemblyScript with 128-bit SIMD; `scripts/build-kernels.ts` makes
 * `kernels.wasm` of it.
 *
 * All numbers are f32, all arrays are channels-last: voxel (d, h, w), channel c of a D x H x W x C array is element
 * ((d * H + h) * W + w) * C + c. "Padded" arrays have one voxel of zeros on every side: (D + 2) x (H + 2) x (W + 2) x C.
 * Every count of channels is a multiple of 8, except that the input of the first convolution has 1. Pointers are multiples
 * of 16. Gradients of parameters are added to what is there; all other outputs are overwritten. The order of every sum is
 * fixed, so the same input gives the same bits.
 */

// ---- 3 x 3 x 3 convolution, padding 1, stride 1, no bias -----------------------------------------------------------
//
// Filter layout [3][3][3][inChannels][outChannels]. The three taps along w and their channels lie side by side in a padded
// row as well as in the filter, so a voxel's output is nine dot products of length 3 * inChannels.

/** output[D][H][W][outChannels] = filter * padded */
export function convolve(
  padded: usize, filter: usize, output: usize,
  depth: i32, height: i32, width: i32, inChannels: i32, outChannels: i32,
): void {
  const inBytes: usize = <usize>inChannels << 2;
  const outBytes: usize = <usize>outChannels << 2;
  const rowBytes: usize = <usize>(width + 2) * inBytes;
  const sliceBytes: usize = <usize>(height + 2) * rowBytes;
  for (let d = 0; d < depth; d++) {
    for (let h = 0; h < height; h++) {
      const inRow: usize = padded + <usize>d * sliceBytes + <usize>h * rowBytes;
      const outRow: usize = output + <usize>(d * height + h) * <usize>width * outBytes;
      let w = 0;
      for (; w + 4 <= width; w += 4) {
        for (let c: usize = 0; c < outBytes; c += 32) {
          convolveFourVoxels(
            inRow + <usize>w * inBytes, filter + c, outRow + <usize>w * outBytes + c,
            inBytes, outBytes, rowBytes, sliceBytes,
          );
        }
      }
      for (; w < width; w++) {
        for (let c: usize = 0; c < outBytes; c += 32) {
          convolveOneVoxel(
            inRow + <usize>w * inBytes, filter + c, outRow + <usize>w * outBytes + c,
            inBytes, outBytes, rowBytes, sliceBytes,
          );
        }
      }
    }
  }
}

/** Four neighbours along w, eight output channels: eight accumulators stay in registers. */
// @ts-ignore: decorator
@inline
function convolveFourVoxels(
  input: usize, filter: usize, output: usize,
  inBytes: usize, outBytes: usize, rowBytes: usize, sliceBytes: usize,
): void {
  const zero = f32x4.splat(0);
  let a0 = zero, b0 = zero, a1 = zero, b1 = zero, a2 = zero, b2 = zero, a3 = zero, b3 = zero;
  let q = filter;
  for (let tap = 0; tap < 9; tap++) {
    let p: usize = input + <usize>(tap / 3) * sliceBytes + <usize>(tap % 3) * rowBytes;
    const end: usize = p + 3 * inBytes;
    while (p < end) {
      const f0 = v128.load(q), f1 = v128.load(q, 16);
      let x = v128.load32_splat(p);
      a0 = f32x4.add(a0, f32x4.mul(x, f0)); b0 = f32x4.add(b0, f32x4.mul(x, f1));
      x = v128.load32_splat(p + inBytes);
      a1 = f32x4.add(a1, f32x4.mul(x, f0)); b1 = f32x4.add(b1, f32x4.mul(x, f1));
      x = v128.load32_splat(p + 2 * inBytes);
      a2 = f32x4.add(a2, f32x4.mul(x, f0)); b2 = f32x4.add(b2, f32x4.mul(x, f1));
      x = v128.load32_splat(p + 3 * inBytes);
      a3 = f32x4.add(a3, f32x4.mul(x, f0)); b3 = f32x4.add(b3, f32x4.mul(x, f1));
      p += 4;
      q += outBytes;
    }
  }
  v128.store(output, a0); v128.store(output, b0, 16); output += outBytes;
  v128.store(output, a1); v128.store(output, b1, 16); output += outBytes;
  v128.store(output, a2); v128.store(output, b2, 16); output += outBytes;
  v128.store(output, a3); v128.store(output, b3, 16);
}

// @ts-ignore: decorator
@inline
function convolveOneVoxel(
  input: usize, filter: usize, output: usize,
  inBytes: usize, outBytes: usize, rowBytes: usize, sliceBytes: usize,
): void {
  let a = f32x4.splat(0), b = f32x4.splat(0);
  let q = filter;
  for (let tap = 0; tap < 9; tap++) {
    let p: usize = input + <usize>(tap / 3) * sliceBytes + <usize>(tap % 3) * rowBytes;
    const end: usize = p + 3 * inBytes;
    while (p < end) {
      const x = v128.load32_splat(p);
      a = f32x4.add(a, f32x4.mul(x, v128.load(q))); b = f32x4.add(b, f32x4.mul(x, v128.load(q, 16)));
      p += 4;
      q += outBytes;
    }
  }
  v128.store(output, a); v128.store(output, b, 16);
}

/** filterGradient[3][3][3][inChannels][outChannels] += correlation of the padded input with the output's gradient. */
export function convolveFilterGradient(
  padded: usize, outputGradient: usize, filterGradient: usize,
  depth: i32, height: i32, width: i32, inChannels: i32, outChannels: i32,
): void {
  const inBytes: usize = <usize>inChannels << 2;
  const outBytes: usize = <usize>outChannels << 2;
  const rowBytes: usize = <usize>(width + 2) * inBytes;
  const sliceBytes: usize = <usize>(height + 2) * rowBytes;
  const rowsOfTap: i32 = 3 * inChannels;
  for (let d = 0; d < depth; d++) {
    const gradientSlice: usize = outputGradient + <usize>(d * height) * <usize>width * outBytes;
    for (let tap = 0; tap < 9; tap++) {
      const inSlice: usize = padded + <usize>(d + tap / 3) * sliceBytes + <usize>(tap % 3) * rowBytes;
      const tapGradient: usize = filterGradient + <usize>(tap * rowsOfTap) * outBytes;
      for (let c: usize = 0; c < outBytes; c += 32) {
        let row = 0;
        for (; row + 4 <= rowsOfTap; row += 4) {
          correlateFourRows(
            inSlice + (<usize>row << 2), gradientSlice + c, tapGradient + <usize>row * outBytes + c,
            height, width, inBytes, outBytes, rowBytes,
          );
        }
        for (; row < rowsOfTap; row++) {
          correlateOneRow(
            inSlice + (<usize>row << 2), gradientSlice + c, tapGradient + <usize>row * outBytes + c,
            height, width, inBytes, outBytes, rowBytes,
          );
        }
      }
    }
  }
}

/** Four rows of the filter, eight output channels, summed over one slice. */
// @ts-ignore: decorator
@inline
function correlateFourRows(
  input: usize, gradient: usize, target: usize,
  height: i32, width: i32, inBytes: usize, outBytes: usize, rowBytes: usize,
): void {
  let t = target;
  let a0 = v128.load(t), b0 = v128.load(t, 16); t += outBytes;
  let a1 = v128.load(t), b1 = v128.load(t, 16); t += outBytes;
  let a2 = v128.load(t), b2 = v128.load(t, 16); t += outBytes;
  let a3 = v128.load(t), b3 = v128.load(t, 16);
  let q = gradient;
  for (let h = 0; h < height; h++) {
    let p: usize = input + <usize>h * rowBytes;
    const end: usize = p + <usize>width * inBytes;
    while (p < end) {
      const g0 = v128.load(q), g1 = v128.load(q, 16);
      let x = v128.load32_splat(p);
      a0 = f32x4.add(a0, f32x4.mul(x, g0)); b0 = f32x4.add(b0, f32x4.mul(x, g1));
      x = v128.load32_splat(p, 4);
      a1 = f32x4.add(a1, f32x4.mul(x, g0)); b1 = f32x4.add(b1, f32x4.mul(x, g1));
      x = v128.load32_splat(p, 8);
      a2 = f32x4.add(a2, f32x4.mul(x, g0)); b2 = f32x4.add(b2, f32x4.mul(x, g1));
      x = v128.load32_splat(p, 12);
      a3 = f32x4.add(a3, f32x4.mul(x, g0)); b3 = f32x4.add(b3, f32x4.mul(x, g1));
      p += inBytes;
      q += outBytes;
    }
  }
  t = target;
  v128.store(t, a0); v128.store(t, b0, 16); t += outBytes;
  v128.store(t, a1); v128.store(t, b1, 16); t += outBytes;
  v128.store(t, a2); v128.store(t, b2, 16); t += outBytes;
  v128.store(t, a3); v128.store(t, b3, 16);
}

// @ts-ignore: decorator
@inline
function correlateOneRow(
  input: usize, gradient: usize, target: usize,
  height: i32, width: i32, inBytes: usize, outBytes: usize, rowBytes: usize,
): void {
  let a = v128.load(target), b = v128.load(target, 16);
  let q = gradient;
  for (let h = 0; h < height; h++) {
    let p: usize = input + <usize>h * rowBytes;
    const end: usize = p + <usize>width * inBytes;
    while (p < end) {
      const x = v128.load32_splat(p);
      a = f32x4.add(a, f32x4.mul(x, v128.load(q))); b = f32x4.add(b, f32x4.mul(x, v128.load(q, 16)));
      p += inBytes;
      q += outBytes;
    }
  }
  v128.store(target, a); v128.store(target, b, 16);
}

/**
 * The filter whose convolution with an output's gradient is the input's gradient: taps reversed, channels exchanged.
 * turned[t][outChannels][inChannels] = filter[26 - t][inChannels][outChannels]
 */
export function turnFilter(filter: usize, turned: usize, inChannels: i32, outChannels: i32): void {
  const tapElements = inChannels * outChannels;
  for (let tap = 0; tap < 27; tap++) {
    const from: usize = filter + (<usize>((26 - tap) * tapElements) << 2);
    const to: usize = turned + (<usize>(tap * tapElements) << 2);
    for (let i = 0; i < inChannels; i++) {
      for (let o = 0; o < outChannels; o++) {
        store<f32>(to + (<usize>(o * inChannels + i) << 2), load<f32>(from + (<usize>(i * outChannels + o) << 2)));
      }
    }
  }
}

// ---- Moving voxels --------------------------------------------------------------------------------------------------

/** Copies [D][H][W][C] into the middle of a padded array and clears its border. */
export function pad(input: usize, padded: usize, depth: i32, height: i32, width: i32, channels: i32): void {
  const rowBytes: usize = <usize>(width * channels) << 2;
  const paddedRow: usize = <usize>((width + 2) * channels) << 2;
  const paddedSlice: usize = <usize>(height + 2) * paddedRow;
  memory.fill(padded, 0, <usize>(depth + 2) * paddedSlice);
  for (let d = 0; d < depth; d++) {
    let to: usize = padded + <usize>(d + 1) * paddedSlice + paddedRow + (<usize>channels << 2);
    for (let h = 0; h < height; h++) {
      memory.copy(to, input, rowBytes);
      input += rowBytes;
      to += paddedRow;
    }
  }
}

/** Like {@link pad} for two arrays of which the channels are joined: first those of `left`, then those of `right`. */
export function padJoined(
  left: usize, right: usize, padded: usize,
  depth: i32, height: i32, width: i32, leftChannels: i32, rightChannels: i32,
): void {
  const leftBytes: usize = <usize>leftChannels << 2;
  const rightBytes: usize = <usize>rightChannels << 2;
  const paddedRow: usize = <usize>(width + 2) * (leftBytes + rightBytes);
  const paddedSlice: usize = <usize>(height + 2) * paddedRow;
  memory.fill(padded, 0, <usize>(depth + 2) * paddedSlice);
  for (let d = 0; d < depth; d++) {
    for (let h = 0; h < height; h++) {
      let to: usize = padded + <usize>(d + 1) * paddedSlice + <usize>(h + 1) * paddedRow + leftBytes + rightBytes;
      for (let w = 0; w < width; w++) {
        to = copyVector(left, to, leftBytes);
        to = copyVector(right, to, rightBytes);
        left += leftBytes;
        right += rightBytes;
      }
    }
  }
}

/** The other way round, without padding: splits the channels of `joined` [voxels][left + right]. */
export function splitJoined(
  joined: usize, left: usize, right: usize, voxels: i32, leftChannels: i32, rightChannels: i32,
): void {
  const leftBytes: usize = <usize>leftChannels << 2;
  const rightBytes: usize = <usize>rightChannels << 2;
  for (let v = 0; v < voxels; v++) {
    left = copyVector(joined, left, leftBytes);
    joined += leftBytes;
    right = copyVector(joined, right, rightBytes);
    joined += rightBytes;
  }
}

// @ts-ignore: decorator
@inline
function copyVector(from: usize, to: usize, bytes: usize): usize {
  for (let at: usize = 0; at < bytes; at += 16) v128.store(to + at, v128.load(from + at));
  return to + bytes;
}

// ---- Instance normalisation and leaky ReLU (Ulyanov et al. 2016; Maas et al. 2013) -----------------------------------

/** Sums are made of partial sums over so many voxels, which keeps their rounding error small. */
const BLOCK: i32 = 256;
const EPSILON: f32 = 1e-5;

/**
 * output = leakyRelu(scale * normalised + shift); `values` [voxels][channels] is replaced by its normalised form and
 * `deviation` [channels] by 1 / sqrt(variance + 1e-5), both for the gradient.
 */
export function normalise(
  values: usize, output: usize, scale: usize, shift: usize, deviation: usize,
  voxels: i32, channels: i32, slope: f32,
): void {
  const stride: usize = <usize>channels << 2;
  const perVoxel = f32x4.splat(1.0 / <f32>voxels);
  const slopes = f32x4.splat(slope);
  for (let c: usize = 0; c < stride; c += 16) {
    let mean = f32x4.splat(0);
    let p = values + c;
    for (let start = 0; start < voxels; start += BLOCK) {
      let partial = f32x4.splat(0);
      for (let v = start, end = min(start + BLOCK, voxels); v < end; v++) {
        partial = f32x4.add(partial, v128.load(p));
        p += stride;
      }
      mean = f32x4.add(mean, partial);
    }
    mean = f32x4.mul(mean, perVoxel);

    let variance = f32x4.splat(0);
    p = values + c;
    for (let start = 0; start < voxels; start += BLOCK) {
      let partial = f32x4.splat(0);
      for (let v = start, end = min(start + BLOCK, voxels); v < end; v++) {
        const difference = f32x4.sub(v128.load(p), mean);
        partial = f32x4.add(partial, f32x4.mul(difference, difference));
        p += stride;
      }
      variance = f32x4.add(variance, partial);
    }
    variance = f32x4.add(f32x4.mul(variance, perVoxel), f32x4.splat(EPSILON));
    const inverse = f32x4.div(f32x4.splat(1), f32x4.sqrt(variance));
    v128.store(deviation + c, inverse);

    const scales = v128.load(scale + c), shifts = v128.load(shift + c);
    p = values + c;
    let o = output + c;
    for (let v = 0; v < voxels; v++) {
      const normal = f32x4.mul(f32x4.sub(v128.load(p), mean), inverse);
      v128.store(p, normal);
      const y = f32x4.add(f32x4.mul(normal, scales), shifts);
      v128.store(o, f32x4.max(y, f32x4.mul(y, slopes)));
      p += stride;
      o += stride;
    }
  }
}

/**
 * Turns the gradient of {@link normalise}'s output, in place, into the gradient of its input; adds to the gradients of
 * scale and shift.
 */
export function normaliseGradient(
  normalised: usize, output: usize, gradient: usize, scale: usize, deviation: usize,
  scaleGradient: usize, shiftGradient: usize, voxels: i32, channels: i32, slope: f32,
): void {
  const stride: usize = <usize>channels << 2;
  const perVoxel = f32x4.splat(1.0 / <f32>voxels);
  const zero = f32x4.splat(0), one = f32x4.splat(1), slopes = f32x4.splat(slope);
  for (let c: usize = 0; c < stride; c += 16) {
    let sum = zero, sumTimesNormal = zero;
    let n = normalised + c, o = output + c, g = gradient + c;
    for (let start = 0; start < voxels; start += BLOCK) {
      let partial = zero, partialTimesNormal = zero;
      for (let v = start, end = min(start + BLOCK, voxels); v < end; v++) {
        const through = v128.bitselect(one, slopes, f32x4.gt(v128.load(o), zero));
        const inner = f32x4.mul(v128.load(g), through);
        v128.store(g, inner);
        partial = f32x4.add(partial, inner);
        partialTimesNormal = f32x4.add(partialTimesNormal, f32x4.mul(inner, v128.load(n)));
        n += stride;
        o += stride;
        g += stride;
      }
      sum = f32x4.add(sum, partial);
      sumTimesNormal = f32x4.add(sumTimesNormal, partialTimesNormal);
    }
    v128.store(shiftGradient + c, f32x4.add(v128.load(shiftGradient + c), sum));
    v128.store(scaleGradient + c, f32x4.add(v128.load(scaleGradient + c), sumTimesNormal));

    const factor = f32x4.mul(v128.load(scale + c), v128.load(deviation + c));
    const mean = f32x4.mul(sum, perVoxel), meanTimesNormal = f32x4.mul(sumTimesNormal, perVoxel);
    n = normalised + c;
    g = gradient + c;
    for (let v = 0; v < voxels; v++) {
      const centred = f32x4.sub(f32x4.sub(v128.load(g), mean), f32x4.mul(v128.load(n), meanTimesNormal));
      v128.store(g, f32x4.mul(factor, centred));
      n += stride;
      g += stride;
    }
  }
}

// ---- Halving and doubling the grid -----------------------------------------------------------------------------------

/** output[D/2][H/2][W/2][C] = maximum over 2 x 2 x 2 voxels; D, H and W are those of the input and even. */
export function maxPool(input: usize, output: usize, depth: i32, height: i32, width: i32, channels: i32): void {
  const voxel: usize = <usize>channels << 2, row = <usize>width * voxel, slice = <usize>height * row;
  for (let d = 0; d < depth; d += 2) for (let h = 0; h < height; h += 2) for (let w = 0; w < width; w += 2) {
    const corner: usize = input + <usize>d * slice + <usize>h * row + <usize>w * voxel;
    for (let c: usize = 0; c < voxel; c += 16) {
      let largest = v128.load(corner + c);
      for (let n = 1; n < 8; n++) largest = f32x4.max(largest, v128.load(corner + c + neighbour(n, voxel, row, slice)));
      v128.store(output, largest);
      output += 16;
    }
  }
}

/**
 * inputGradient[D][H][W][C] += the gradient of {@link maxPool}'s output, at the first of the eight voxels that holds the
 * maximum.
 */
export function maxPoolGradient(
  input: usize, output: usize, outputGradient: usize, inputGradient: usize,
  depth: i32, height: i32, width: i32, channels: i32,
): void {
  const voxel: usize = <usize>channels << 2, row = <usize>width * voxel, slice = <usize>height * row;
  for (let d = 0; d < depth; d += 2) for (let h = 0; h < height; h += 2) for (let w = 0; w < width; w += 2) {
    const corner: usize = <usize>d * slice + <usize>h * row + <usize>w * voxel;
    for (let c: usize = 0; c < voxel; c += 16) {
      const largest = v128.load(output);
      let open = v128.load(outputGradient);
      for (let n = 0; n < 8; n++) {
        const at = corner + c + neighbour(n, voxel, row, slice);
        const here = f32x4.eq(v128.load(input + at), largest);
        v128.store(inputGradient + at, f32x4.add(v128.load(inputGradient + at), v128.and(open, here)));
        open = v128.andnot(open, here);
      }
      output += 16;
      outputGradient += 16;
    }
  }
}

/** output[2D][2H][2W][C]: every voxel of the input eight times; D, H and W are those of the input. */
export function doubleGrid(input: usize, output: usize, depth: i32, height: i32, width: i32, channels: i32): void {
  const voxel: usize = <usize>channels << 2, row = <usize>(2 * width) * voxel, slice = <usize>(2 * height) * row;
  for (let d = 0; d < depth; d++) for (let h = 0; h < height; h++) for (let w = 0; w < width; w++) {
    const corner: usize = output + <usize>(2 * d) * slice + <usize>(2 * h) * row + <usize>(2 * w) * voxel;
    for (let c: usize = 0; c < voxel; c += 16) {
      const value = v128.load(input);
      for (let n = 0; n < 8; n++) v128.store(corner + c + neighbour(n, voxel, row, slice), value);
      input += 16;
    }
  }
}

/** inputGradient[D][H][W][C] = sum of the eight gradients of {@link doubleGrid}'s output; D, H and W as there. */
export function doubleGridGradient(
  outputGradient: usize, inputGradient: usize, depth: i32, height: i32, width: i32, channels: i32,
): void {
  const voxel: usize = <usize>channels << 2, row = <usize>(2 * width) * voxel, slice = <usize>(2 * height) * row;
  for (let d = 0; d < depth; d++) for (let h = 0; h < height; h++) for (let w = 0; w < width; w++) {
    const corner: usize = outputGradient + <usize>(2 * d) * slice + <usize>(2 * h) * row + <usize>(2 * w) * voxel;
    for (let c: usize = 0; c < voxel; c += 16) {
      let sum = v128.load(corner + c);
      for (let n = 1; n < 8; n++) sum = f32x4.add(sum, v128.load(corner + c + neighbour(n, voxel, row, slice)));
      v128.store(inputGradient, sum);
      inputGradient += 16;
    }
  }
}

/** Where the n-th of 2 x 2 x 2 voxels lies, from the first; bit 0 of n goes along w, bit 1 along h, bit 2 along d. */
// @ts-ignore: decorator
@inline
function neighbour(n: i32, voxel: usize, row: usize, slice: usize): usize {
  return <usize>(n & 1) * voxel + <usize>((n >> 1) & 1) * row + <usize>(n >> 2) * slice;
}

// ---- Head: one logit a voxel -----------------------------------------------------------------------------------------

/** logits[voxels] = bias + weight . features[voxels][channels] */
export function head(features: usize, weight: usize, bias: f32, logits: usize, voxels: i32, channels: i32): void {
  const stride: usize = <usize>channels << 2;
  for (let v = 0; v < voxels; v++) {
    let sum = f32x4.splat(0);
    for (let c: usize = 0; c < stride; c += 16) {
      sum = f32x4.add(sum, f32x4.mul(v128.load(features + c), v128.load(weight + c)));
    }
    const even = f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 2);
    const odd = f32x4.extract_lane(sum, 1) + f32x4.extract_lane(sum, 3);
    store<f32>(logits, bias + (even + odd));
    logits += 4;
    features += stride;
  }
}

/** featureGradient[voxels][channels] = logitGradient x weight; weightGradient += features . logitGradient */
export function headGradient(
  features: usize, weight: usize, logitGradient: usize, featureGradient: usize, weightGradient: usize,
  voxels: i32, channels: i32,
): void {
  const stride: usize = <usize>channels << 2;
  for (let c: usize = 0; c < stride; c += 16) {
    const weights = v128.load(weight + c);
    let sum = v128.load(weightGradient + c);
    let from = features + c, to = featureGradient + c, g = logitGradient;
    for (let v = 0; v < voxels; v++) {
      const gradient = v128.load32_splat(g);
      sum = f32x4.add(sum, f32x4.mul(gradient, v128.load(from)));
      v128.store(to, f32x4.mul(gradient, weights));
      from += stride;
      to += stride;
      g += 4;
    }
    v128.store(weightGradient + c, sum);
  }
}

// ---- Optimiser -------------------------------------------------------------------------------------------------------

/**
 * One step of Adam (Kingma and Ba 2015, algorithm 1) on `count` parameters, a multiple of 4. `firstCorrection` and
 * `secondCorrection` are 1 - beta^step.
 */
export function adam(
  parameters: usize, gradients: usize, first: usize, second: usize, count: i32,
  rate: f32, beta1: f32, beta2: f32, epsilon: f32, firstCorrection: f32, secondCorrection: f32,
): void {
  const keep1 = f32x4.splat(beta1), take1 = f32x4.splat(1 - beta1);
  const keep2 = f32x4.splat(beta2), take2 = f32x4.splat(1 - beta2);
  const step = f32x4.splat(rate / firstCorrection), correct2 = f32x4.splat(1 / secondCorrection);
  const epsilons = f32x4.splat(epsilon);
  for (let at: usize = 0, end: usize = <usize>count << 2; at < end; at += 16) {
    const g = v128.load(gradients + at);
    const m = f32x4.add(f32x4.mul(keep1, v128.load(first + at)), f32x4.mul(take1, g));
    const v = f32x4.add(f32x4.mul(keep2, v128.load(second + at)), f32x4.mul(take2, f32x4.mul(g, g)));
    v128.store(first + at, m);
    v128.store(second + at, v);
    const divisor = f32x4.add(f32x4.sqrt(f32x4.mul(v, correct2)), epsilons);
    v128.store(parameters + at, f32x4.sub(v128.load(parameters + at), f32x4.div(f32x4.mul(step, m), divisor)));
  }
}
