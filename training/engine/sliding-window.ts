import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Shape3 } from '../../imaging/volume';
import type { UNet } from './unet';

/** A scan on the working grid as the network sees it, i fastest. */
export interface NetworkInput {
  readonly shape: Shape3;
  readonly values: Float32Array;
}

export interface SlidingWindowOptions {
  /** Share of a patch that neighbouring patches have in common along each axis, 0 up to below 1. */
  readonly overlap: number;
  /** Value of voxels beyond the volume, where the patch is larger than the volume. */
  readonly outside: number;
  readonly signal?: AbortSignal;
  /** Called with the finished share, growing to 1. */
  readonly onProgress?: (fraction: number) => void;
}

/**
 * Probability of the organ for every voxel of `input`, from patches that together cover it; where patches overlap, their
 * answers are averaged with weights that fall towards a patch's edge, where the network sees least. Gives control back to
 * the event loop after each patch.
 *
 * @throws the reason of `signal`
 */
export async function slideOver(net: UNet, input: NetworkInput, options: SlidingWindowOptions): Promise<Float32Array> {
  const { patch } = net.architecture;
  const { shape } = input;
  const starts = patch.map((size, axis) => patchStarts(shape[axis], size, options.overlap));
  const tents = patch.map((size) => tent(size, options.overlap));
  const sums = new Float32Array(input.values.length);
  const weights = new Float32Array(input.values.length);
  const patches = starts[0].length * starts[1].length * starts[2].length;
  let done = 0;
  for (const k of starts[2]) {
    for (const j of starts[1]) {
      for (const i of starts[0]) {
        await nextTurn();
        options.signal?.throwIfAborted();
        const corner: Shape3 = [i, j, k];
        cutPatch(input, corner, patch, options.outside, net.input);
        addPatch(net.forward(), patch, corner, tents, shape, sums, weights);
        done++;
        options.onProgress?.(done / patches);
      }
    }
  }
  for (let v = 0; v < sums.length; v++) sums[v] /= weights[v];
  return sums;
}

/**
 * First indices of the patches along one axis, evenly spread: each overlaps the next by at least the share asked for, the
 * first begins and the last ends with the volume. A volume smaller than a patch lies in the middle of one.
 */
export function patchStarts(size: number, patch: number, overlap: number): number[] {
  if (size <= patch) return [-Math.floor((patch - size) / 2)];
  const stride = Math.max(1, Math.floor(patch * (1 - overlap)));
  const gaps = Math.ceil((size - patch) / stride);
  return Array.from({ length: gaps + 1 }, (_, n) => Math.round((n * (size - patch)) / gaps));
}

/** Weights along one axis of a patch: 1 in the middle, falling over the overlap, never zero. */
function tent(size: number, overlap: number): Float32Array {
  const slope = Math.max(1, size * overlap);
  return Float32Array.from({ length: size }, (_, at) => Math.min(1, (Math.min(at, size - 1 - at) + 1) / slope));
}

/** Copies the patch that begins at `corner`, which may lie outside of the volume, into `target`. */
export function cutPatch(
  { shape, values }: NetworkInput,
  [i0, j0, k0]: Shape3,
  [pi, pj, pk]: Shape3,
  outside: number,
  target: Float32Array,
): void {
  const [ni, nj, nk] = shape;
  const from = Math.max(0, -i0);
  const to = Math.min(pi, ni - i0);
  if (from > 0 || to < pi || j0 < 0 || j0 + pj > nj || k0 < 0 || k0 + pk > nk) target.fill(outside);
  for (let k = Math.max(0, -k0); k < Math.min(pk, nk - k0); k++) {
    for (let j = Math.max(0, -j0); j < Math.min(pj, nj - j0); j++) {
      const row = ((k0 + k) * nj + j0 + j) * ni + i0;
      target.set(values.subarray(row + from, row + to), (k * pj + j) * pi + from);
    }
  }
}

function addPatch(
  logits: Float32Array,
  [pi, pj, pk]: Shape3,
  [i0, j0, k0]: Shape3,
  [tentI, tentJ, tentK]: readonly Float32Array[],
  [ni, nj, nk]: Shape3,
  sums: Float32Array,
  weights: Float32Array,
): void {
  const from = Math.max(0, -i0);
  const to = Math.min(pi, ni - i0);
  for (let k = Math.max(0, -k0); k < Math.min(pk, nk - k0); k++) {
    for (let j = Math.max(0, -j0); j < Math.min(pj, nj - j0); j++) {
      const row = ((k0 + k) * nj + j0 + j) * ni + i0;
      const patchRow = (k * pj + j) * pi;
      const weight = tentK[k] * tentJ[j];
      for (let i = from; i < to; i++) {
        const share = weight * tentI[i];
        sums[row + i] += share / (1 + Math.exp(-logits[patchRow + i]));
        weights[row + i] += share;
      }
    }
  }
}
