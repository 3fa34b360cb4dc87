import { setImmediate as nextTurn } from 'node:timers/promises';
import { ClaraError } from '../../../base/errors';
import type { Geometry, Shape3, Volume } from '../../../imaging/volume';
import type { SlidingWindow } from '../../config/pipeline';
import type { SegmentOptions } from '../inference-engine';
import type { Network } from './network';

/** What a network says of each voxel of a grid; channels one after the other, in each i fastest. */
export interface Scores {
  readonly geometry: Geometry;
  readonly channels: readonly Float32Array[];
}

/** Where blending weights fall to exp(-1/2), as a share of the window: MONAI's `sigma_scale`. */
const SIGMA_SCALE = 0.125;
/** No voxel counts less than this, so that corners seen once have a value. */
const MIN_WEIGHT = 1e-3;

/**
 * What `network` says of a volume, window by window as MONAI's `sliding_window_inference`: windows step through the volume, the last one
 * ends with it, and where they overlap their answers are averaged by a Gaussian around each window's centre. A volume smaller than
 * a window lies in the middle of zeros. Gives control back to the event loop before each window.
 *
 * @throws the reason of `signal`; ClaraError `unsupported` when the network cannot take such windows
 */
export async function slideOver(
  network: Network,
  image: Volume<Float32Array>,
  window: SlidingWindow | null,
  options: Pick<SegmentOptions, 'signal' | 'onProgress'>,
): Promise<Scores> {
  const { shape } = image.geometry;
  const roi = shape.map((size, axis) => {
    const wanted = window?.roi[axis] ?? 0;
    return wanted > 0 ? wanted : size;
  }) as unknown as Shape3;
  mustFit(network, roi, window !== null);
  const starts = roi.map((size, axis) => windowStarts(shape[axis], size, window?.overlap ?? 0));
  const weights = roi.map((size) =>
    window?.blending === 'gaussian' ? gaussian(size) : new Float64Array(size).fill(1),
  );
  const corners = starts[0].flatMap((i) => starts[1].flatMap((j) => starts[2].map((k): Shape3 => [i, j, k])));
  const total = new Float32Array(image.data.length);
  let sums: Float32Array[] | undefined;
  for (const [done, corner] of corners.entries()) {
    await nextTurn();
    options.signal?.throwIfAborted();
    const { channels, values } = await network.run(cut(image, corner, roi), roi);
    const voxels = roi[0] * roi[1] * roi[2];
    if (values.length !== channels * voxels || (sums !== undefined && sums.length !== channels)) {
      throw new ClaraError(
        'unsupported',
        `the network answers a window of ${roi.join(' x ')} voxels with ${values.length} numbers in ${channels} channels; its output must have the size of its input`,
      );
    }
    sums ??= Array.from({ length: channels }, () => new Float32Array(image.data.length));
    blend(values, corner, roi, weights, shape, sums, total);
    options.onProgress?.((done + 1) / corners.length);
  }
  for (const channel of sums!) for (let at = 0; at < total.length; at += 1) channel[at] /= total[at];
  return { geometry: image.geometry, channels: sums! };
}

function mustFit({ inputShape }: Network, roi: Shape3, windowed: boolean): void {
  if (inputShape.every((size, axis) => size === null || size === roi[axis])) return;
  const wanted = inputShape.map((size) => size ?? 'any').join(' x ');
  const found = `${windowed ? 'the roi is' : 'without a scanning window it is given'} ${roi.join(' x ')}`;
  throw new ClaraError(
    'unsupported',
    `the network takes ${wanted} voxels, but ${found}; set scanning_window and roi in config_aiaa.json accordingly`,
  );
}

/** First indices along one axis; below zero where the volume is smaller than the window. */
export function windowStarts(size: number, roi: number, overlap: number): number[] {
  if (size <= roi) return [-Math.floor((roi - size) / 2)];
  const interval = Math.max(1, Math.floor(roi * (1 - overlap)));
  const count = Math.ceil((size - roi) / interval) + 1;
  return Array.from({ length: count }, (_, at) => Math.min(at * interval, size - roi));
}

/** Weights along one axis. */
function gaussian(size: number): Float64Array {
  const sigma = SIGMA_SCALE * size;
  const centre = (size - 1) / 2;
  return Float64Array.from({ length: size }, (_, at) => Math.exp(-((at - centre) ** 2) / (2 * sigma ** 2)));
}

/** A window of the image in the network's order, k fastest; zero outside of the image. */
function cut({ geometry, data }: Volume<Float32Array>, [i0, j0, k0]: Shape3, [pi, pj, pk]: Shape3): Float32Array {
  const [ni, nj, nk] = geometry.shape;
  const patch = new Float32Array(pi * pj * pk);
  for (let i = Math.max(0, -i0); i < Math.min(pi, ni - i0); i += 1) {
    for (let j = Math.max(0, -j0); j < Math.min(pj, nj - j0); j += 1) {
      const to = (i * pj + j) * pk;
      const from = (j + j0) * ni + i + i0;
      for (let k = Math.max(0, -k0); k < Math.min(pk, nk - k0); k += 1) patch[to + k] = data[from + (k + k0) * ni * nj];
    }
  }
  return patch;
}

function blend(
  values: Float32Array,
  [i0, j0, k0]: Shape3,
  [pi, pj, pk]: Shape3,
  [weightI, weightJ, weightK]: readonly Float64Array[],
  [ni, nj, nk]: Shape3,
  sums: readonly Float32Array[],
  total: Float32Array,
): void {
  const voxels = pi * pj * pk;
  for (let k = Math.max(0, -k0); k < Math.min(pk, nk - k0); k += 1) {
    for (let j = Math.max(0, -j0); j < Math.min(pj, nj - j0); j += 1) {
      const row = ((k + k0) * nj + j + j0) * ni + i0;
      for (let i = Math.max(0, -i0); i < Math.min(pi, ni - i0); i += 1) {
        const weight = Math.max(MIN_WEIGHT, weightI![i] * weightJ![j] * weightK![k]);
        const from = (i * pj + j) * pk + k;
        for (let channel = 0; channel < sums.length; channel += 1) {
          sums[channel][row + i] += weight * values[channel * voxels + from];
        }
        total[row + i] += weight;
      }
    }
  }
}
