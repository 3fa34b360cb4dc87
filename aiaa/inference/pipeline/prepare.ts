import { affineOf, columnOf, toWorld } from '../../../imaging/affine';
import { reorient, spacingOf } from '../../../imaging/geometry';
import { resampleTo } from '../../../imaging/resample';
import type { Geometry, Shape3, Vector3, Volume } from '../../../imaging/volume';
import type { PreStep, Triple } from '../../config/pipeline';

type Image = Volume<Float32Array>;

/** What the network is to see of a volume: each step of a configuration in turn, with the arithmetic of MONAI's transforms. */
export function prepareVolume(volume: Volume, steps: readonly PreStep[]): Image {
  const image: Image = { geometry: volume.geometry, data: Float32Array.from(volume.data) };
  return steps.reduce(prepare, image);
}

function prepare(image: Image, step: PreStep): Image {
  switch (step.kind) {
    case 'orient':
      return reorient(image, step.axcodes);
    case 'space':
      return space(image, step.pixdim);
    case 'crop-foreground':
      return cropForeground(image, step.margin);
    default:
      return { geometry: image.geometry, data: rescale(image.data, step) };
  }
}

type IntensityStep = Exclude<PreStep, { kind: 'orient' | 'space' | 'crop-foreground' }>;

function rescale(data: Float32Array, step: IntensityStep): Float32Array {
  switch (step.kind) {
    case 'scale-range':
      return scaleRange(data, step.aMin, step.aMax, step);
    case 'scale-percentiles': {
      const sorted = data.slice().sort();
      return scaleRange(data, percentile(sorted, step.lower), percentile(sorted, step.upper), step);
    }
    case 'scale-extremes': {
      const [low, high] = extremes(data);
      if (low === high) return data.map((value) => value * step.min);
      return data.map((value) => ((value - low) / (high - low)) * (step.max - step.min) + step.min);
    }
    case 'scale-factor':
      return data.map((value) => value * (1 + step.factor));
    case 'normalise':
      return normalise(data, step);
  }
}

interface Scaling {
  readonly target: readonly [number, number] | null;
  readonly clip: boolean;
}

function scaleRange(data: Float32Array, low: number, high: number, { target, clip }: Scaling): Float32Array {
  const [to, end] = target ?? [0, 1];
  if (high === low) return data.map((value) => value - low + (target === null ? 0 : to)); // MONAI: only shifted
  const scaled = data.map((value) => ((value - low) / (high - low)) * (end - to) + to);
  if (!clip || target === null) return scaled;
  const [bottom, top] = [Math.min(to, end), Math.max(to, end)];
  return scaled.map((value) => Math.min(top, Math.max(bottom, value)));
}

/** Between the two nearest ranks, linearly, as numpy does it. */
function percentile(sorted: Float32Array, percent: number): number {
  const rank = (percent / 100) * (sorted.length - 1);
  const low = Math.floor(rank);
  const high = Math.min(sorted.length - 1, low + 1);
  return sorted[low] + (rank - low) * (sorted[high] - sorted[low]);
}

function extremes(data: Float32Array): [low: number, high: number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of data) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

type Normalisation = Extract<PreStep, { kind: 'normalise' }>;

function normalise(data: Float32Array, { subtrahend, divisor, nonzero }: Normalisation): Float32Array {
  const counts = (value: number) => !nonzero || value !== 0;
  let count = 0;
  let sum = 0;
  for (const value of data) {
    if (!counts(value)) continue;
    count += 1;
    sum += value;
  }
  if (count === 0) return data;
  const mean = sum / count;
  let squares = 0;
  for (const value of data) if (counts(value)) squares += (value - mean) ** 2;
  const shift = subtrahend ?? mean;
  const deviation = divisor ?? Math.sqrt(squares / count);
  const scale = deviation === 0 ? 1 : deviation;
  return data.map((value) => (counts(value) ? (value - shift) / scale : value));
}

function space(image: Image, pixdim: readonly (number | null)[]): Image {
  const grid = spacedGrid(image.geometry, pixdim);
  return grid === image.geometry ? image : resampleTo(image, grid);
}

/**
 * The grid of MONAI's `Spacing`: the first voxel's centre stays, and there are as many voxels as come nearest to the distance between the
 * first and the last centre, a half going to the even number.
 */
export function spacedGrid(geometry: Geometry, pixdim: readonly (number | null)[]): Geometry {
  const old = spacingOf(geometry);
  const ratios = old.map((mm, axis) => (pixdim[axis] ?? mm) / mm);
  if (ratios.every((ratio) => ratio === 1)) return geometry;
  const shape = geometry.shape.map((size, axis) => halfToEven((size - 1) / ratios[axis]) + 1);
  const column = (axis: number) =>
    columnOf(geometry.affine, axis).map((step) => step * ratios[axis]) as unknown as Vector3;
  return {
    shape: shape as unknown as Shape3,
    affine: affineOf([column(0), column(1), column(2)], toWorld(geometry.affine, [0, 0, 0])),
  };
}

function halfToEven(value: number): number {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

/** All of an image without anything above zero stays as it is. */
function cropForeground(image: Image, margin: Triple): Image {
  const { shape, affine } = image.geometry;
  const box = foregroundBox(image);
  if (box === undefined) return image;
  const start = box[0].map((low, axis) => Math.max(0, low - margin[axis])) as unknown as Shape3;
  const end = box[1].map((high, axis) => Math.min(shape[axis] - 1, high + margin[axis]));
  const size = end.map((high, axis) => high - start[axis] + 1) as unknown as Shape3;
  const data = new Float32Array(size[0] * size[1] * size[2]);
  let at = 0;
  for (let k = 0; k < size[2]; k += 1) {
    for (let j = 0; j < size[1]; j += 1, at += size[0]) {
      const row = ((k + start[2]) * shape[1] + j + start[1]) * shape[0] + start[0];
      data.set(image.data.subarray(row, row + size[0]), at);
    }
  }
  const columns = [columnOf(affine, 0), columnOf(affine, 1), columnOf(affine, 2)] as const;
  return { geometry: { shape: size, affine: affineOf(columns, toWorld(affine, start)) }, data };
}

type Index = [number, number, number];

function foregroundBox({ geometry, data }: Image): [low: Index, high: Index] | undefined {
  const [ni, nj, nk] = geometry.shape;
  const low: Index = [ni, nj, nk];
  const high: Index = [-1, -1, -1];
  let at = 0;
  for (let k = 0; k < nk; k += 1) {
    for (let j = 0; j < nj; j += 1) {
      for (let i = 0; i < ni; i += 1, at += 1) {
        if (!(data[at] > 0)) continue;
        for (const [axis, index] of [i, j, k].entries()) {
          low[axis] = Math.min(low[axis], index);
          high[axis] = Math.max(high[axis], index);
        }
      }
    }
  }
  return high[0] < 0 ? undefined : [low, high];
}
