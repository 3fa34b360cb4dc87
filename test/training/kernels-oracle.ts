/**
 * What the kernels should compute, written from the definitions: plain loops over five-dimensional indices in double
 * precision, nothing shared with the code under test.
 */

export interface Grid {
  readonly depth: number;
  readonly height: number;
  readonly width: number;
}

type At = (d: number, h: number, w: number, c: number) => number;

/** Reads [D][H][W][C]; 0 outside of the grid. */
export function reader(values: ArrayLike<number>, { depth, height, width }: Grid, channels: number): At {
  return (d, h, w, c) => {
    if (d < 0 || h < 0 || w < 0 || d >= depth || h >= height || w >= width) return 0;
    return values[((d * height + h) * width + w) * channels + c];
  };
}

function build(grid: Grid, channels: number, value: At): number[] {
  const result: number[] = [];
  for (let d = 0; d < grid.depth; d++)
    for (let h = 0; h < grid.height; h++)
      for (let w = 0; w < grid.width; w++) for (let c = 0; c < channels; c++) result.push(value(d, h, w, c));
  return result;
}

const TAPS = [-1, 0, 1];

function filterAt(filter: ArrayLike<number>, inChannels: number, outChannels: number) {
  return (z: number, y: number, x: number, i: number, o: number): number =>
    filter[((((z + 1) * 3 + y + 1) * 3 + x + 1) * inChannels + i) * outChannels + o];
}

/** Cross-correlation with zero padding, as deep learning calls convolution. */
export function convolution(
  input: ArrayLike<number>,
  filter: ArrayLike<number>,
  grid: Grid,
  inChannels: number,
  outChannels: number,
): number[] {
  const x = reader(input, grid, inChannels);
  const f = filterAt(filter, inChannels, outChannels);
  return build(grid, outChannels, (d, h, w, o) => {
    let sum = 0;
    for (const a of TAPS)
      for (const b of TAPS)
        for (const c of TAPS) for (let i = 0; i < inChannels; i++) sum += f(a, b, c, i, o) * x(d + a, h + b, w + c, i);
    return sum;
  });
}

/** Derivative of sum(outputGradient * convolution) by each input. */
export function convolutionInputGradient(
  outputGradient: ArrayLike<number>,
  filter: ArrayLike<number>,
  grid: Grid,
  inChannels: number,
  outChannels: number,
): number[] {
  const g = reader(outputGradient, grid, outChannels);
  const f = filterAt(filter, inChannels, outChannels);
  return build(grid, inChannels, (d, h, w, i) => {
    let sum = 0;
    for (const a of TAPS)
      for (const b of TAPS)
        for (const c of TAPS) for (let o = 0; o < outChannels; o++) sum += f(a, b, c, i, o) * g(d - a, h - b, w - c, o);
    return sum;
  });
}

/** Derivative of sum(outputGradient * convolution) by each element of the filter. */
export function convolutionFilterGradient(
  input: ArrayLike<number>,
  outputGradient: ArrayLike<number>,
  grid: Grid,
  inChannels: number,
  outChannels: number,
): number[] {
  const x = reader(input, grid, inChannels);
  const g = reader(outputGradient, grid, outChannels);
  const result: number[] = [];
  for (const a of TAPS)
    for (const b of TAPS)
      for (const c of TAPS)
        for (let i = 0; i < inChannels; i++)
          for (let o = 0; o < outChannels; o++) {
            let sum = 0;
            for (let d = 0; d < grid.depth; d++)
              for (let h = 0; h < grid.height; h++)
                for (let w = 0; w < grid.width; w++) sum += x(d + a, h + b, w + c, i) * g(d, h, w, o);
            result.push(sum);
          }
  return result;
}

/** Instance normalisation and leaky ReLU of [voxels][channels]. */
export function normalisation(
  values: ArrayLike<number>,
  scale: ArrayLike<number>,
  shift: ArrayLike<number>,
  channels: number,
  slope: number,
): number[] {
  const voxels = values.length / channels;
  const result = new Array<number>(values.length);
  for (let c = 0; c < channels; c++) {
    let mean = 0;
    for (let v = 0; v < voxels; v++) mean += values[v * channels + c] / voxels;
    let variance = 0;
    for (let v = 0; v < voxels; v++) variance += (values[v * channels + c] - mean) ** 2 / voxels;
    for (let v = 0; v < voxels; v++) {
      const y = ((values[v * channels + c] - mean) / Math.sqrt(variance + 1e-5)) * scale[c] + shift[c];
      result[v * channels + c] = y > 0 ? y : slope * y;
    }
  }
  return result;
}

/** Central differences of `f` by each element of `at`. */
export function numericGradient(f: (at: number[]) => number, at: ArrayLike<number>, step: number): number[] {
  const point = Array.from(at);
  return point.map((value, index) => {
    const with_ = (moved: number): number => f(point.map((other, i) => (i === index ? moved : other)));
    return (with_(value + step) - with_(value - step)) / (2 * step);
  });
}

function corners(d: number, h: number, w: number): [number, number, number][] {
  const two = [0, 1];
  return two.flatMap((a) =>
    two.flatMap((b) => two.map((c): [number, number, number] => [2 * d + a, 2 * h + b, 2 * w + c])),
  );
}

function halved({ depth, height, width }: Grid): Grid {
  return { depth: depth / 2, height: height / 2, width: width / 2 };
}

export function maximumPooling(input: ArrayLike<number>, grid: Grid, channels: number): number[] {
  const x = reader(input, grid, channels);
  return build(halved(grid), channels, (d, h, w, c) => Math.max(...corners(d, h, w).map(([a, b, e]) => x(a, b, e, c))));
}

/** All of a maximum's gradient goes to the first voxel, in memory order, that has it. */
export function maximumPoolingGradient(
  input: ArrayLike<number>,
  outputGradient: ArrayLike<number>,
  grid: Grid,
  channels: number,
): number[] {
  const x = reader(input, grid, channels);
  const g = reader(outputGradient, halved(grid), channels);
  return build(grid, channels, (d, h, w, c) => {
    const [a, b, e] = [Math.floor(d / 2), Math.floor(h / 2), Math.floor(w / 2)];
    const group = corners(a, b, e);
    const values = group.map(([p, q, r]) => x(p, q, r, c));
    const first = group[values.indexOf(Math.max(...values))];
    return first[0] === d && first[1] === h && first[2] === w ? g(a, b, e, c) : 0;
  });
}

/** Every voxel eight times; `grid` is that of the input. */
export function doubling(input: ArrayLike<number>, grid: Grid, channels: number): number[] {
  const x = reader(input, grid, channels);
  const fine = { depth: 2 * grid.depth, height: 2 * grid.height, width: 2 * grid.width };
  return build(fine, channels, (d, h, w, c) => x(Math.floor(d / 2), Math.floor(h / 2), Math.floor(w / 2), c));
}

/** `grid` is that of the input of {@link doubling}. */
export function doublingGradient(outputGradient: ArrayLike<number>, grid: Grid, channels: number): number[] {
  const fine = { depth: 2 * grid.depth, height: 2 * grid.height, width: 2 * grid.width };
  const g = reader(outputGradient, fine, channels);
  return build(grid, channels, (d, h, w, c) => corners(d, h, w).reduce((sum, [a, b, e]) => sum + g(a, b, e, c), 0));
}

/** Adam as Kingma and Ba (2015) print it. */
export function adamStep(
  state: { parameter: number; first: number; second: number },
  gradient: number,
  step: number,
  rate: number,
): { parameter: number; first: number; second: number } {
  const first = 0.9 * state.first + 0.1 * gradient;
  const second = 0.999 * state.second + 0.001 * gradient ** 2;
  const move = (rate * (first / (1 - 0.9 ** step))) / (Math.sqrt(second / (1 - 0.999 ** step)) + 1e-8);
  return { parameter: state.parameter - move, first, second };
}
