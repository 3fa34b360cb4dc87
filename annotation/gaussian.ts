import { spacingOf } from '../imaging/geometry';
import type { WorkGrid } from './work-grid';

/** Convolution with a Gaussian of `sigmaMm`; outermost values are repeated. */
export function smoothed({ geometry, data }: WorkGrid, sigmaMm: number): Float32Array {
  const spacing = spacingOf(geometry);
  const { shape } = geometry;
  let result = data;
  for (const axis of [0, 1, 2]) {
    const kernel = gaussianKernel(sigmaMm / spacing[axis]);
    if (kernel.length === 1 || shape[axis] === 1) continue;
    const inner = shape.slice(0, axis).reduce((product, size) => product * size, 1);
    result = convolveAlong(result, inner, shape[axis], kernel);
  }
  return result;
}

/** Weights that add up to 1, to three standard deviations each way; the single weight 1 where nothing would be smoothed. */
export function gaussianKernel(sigma: number): Float64Array {
  if (sigma < 0.2) return Float64Array.of(1);
  const reach = Math.ceil(3 * sigma);
  const kernel = Float64Array.from({ length: 2 * reach + 1 }, (_, at) =>
    Math.exp(-((at - reach) ** 2 / (2 * sigma ** 2))),
  );
  const sum = kernel.reduce((total, weight) => total + weight, 0);
  return kernel.map((weight) => weight / sum);
}

function convolveAlong(source: Float32Array, inner: number, size: number, kernel: Float64Array): Float32Array {
  const reach = kernel.length >> 1;
  const result = new Float32Array(source.length);
  const block = inner * size;
  for (let base = 0; base < source.length; base += block) {
    for (let index = 0; index < size; index += 1) {
      const to = base + index * inner;
      for (let tap = -reach; tap <= reach; tap += 1) {
        const from = base + Math.min(size - 1, Math.max(0, index + tap)) * inner;
        const weight = kernel[tap + reach];
        for (let step = 0; step < inner; step += 1) result[to + step] += weight * source[from + step];
      }
    }
  }
  return result;
}

/** Length of the gradient by central differences, one-sided at the ends, HU per mm. */
export function gradientOf({ geometry, data }: WorkGrid): Float32Array {
  const spacing = spacingOf(geometry);
  const { shape } = geometry;
  const squares = new Float32Array(data.length);
  let stride = 1;
  for (const axis of [0, 1, 2]) {
    const size = shape[axis];
    for (let at = 0; at < data.length; at += 1) {
      const index = Math.floor(at / stride) % size;
      const before = index > 0 ? 1 : 0;
      const after = index + 1 < size ? 1 : 0;
      if (before + after === 0) continue;
      const slope = (data[at + after * stride] - data[at - before * stride]) / ((before + after) * spacing[axis]);
      squares[at] += slope * slope;
    }
    stride *= size;
  }
  return squares.map(Math.sqrt);
}
