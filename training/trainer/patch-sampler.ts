import type { RandomSource } from '../../base/random';
import type { Shape3 } from '../../imaging/volume';
import { networkValue, OUTSIDE } from '../engine/preprocessing';
import { BYTE_SCALE, type PreparedCase } from './prepared-case';

/**
 * Where a training patch begins. With chance `foregroundShare` it is placed around a random voxel of the organ, else
 * anywhere; it stays inside the volume, or has the volume in its middle along axes where that is smaller.
 */
export function drawCorner(
  { shape, foreground }: Pick<PreparedCase, 'shape' | 'foreground'>,
  patch: Shape3,
  foregroundShare: number,
  random: RandomSource,
): Shape3 {
  const wanted = random.uniform() < foregroundShare && foreground.length > 0;
  const voxel = wanted ? foreground[random.integer(foreground.length)] : undefined;
  const [ni, nj] = shape;
  const position =
    voxel === undefined ? undefined : [voxel % ni, Math.floor(voxel / ni) % nj, Math.floor(voxel / (ni * nj))];
  const along = (axis: 0 | 1 | 2): number => {
    const spare = shape[axis] - patch[axis];
    if (spare <= 0) return -Math.floor(-spare / 2);
    if (position === undefined) return random.integer(spare + 1);
    return Math.max(0, Math.min(spare, position[axis] - random.integer(patch[axis])));
  };
  return [along(0), along(1), along(2)];
}

/** Every possible byte as the network sees it. */
const INPUT_OF_BYTE = Float32Array.from({ length: 256 }, (_, byte) => networkValue(byte / BYTE_SCALE));
const SHARE_OF_BYTE = Float32Array.from({ length: 256 }, (_, byte) => byte / BYTE_SCALE);

/** Cuts image and target of the patch that begins at `corner`; beyond the volume there is air and no organ. */
export function cutTrainingPatch(
  { shape, intensities, targets }: PreparedCase,
  corner: Shape3,
  patch: Shape3,
  into: { readonly input: Float32Array; readonly targets: Float32Array },
): void {
  into.input.fill(OUTSIDE);
  into.targets.fill(0);
  const [ni, nj, nk] = shape;
  const [pi, pj, pk] = patch;
  const [i0, j0, k0] = corner;
  const from = Math.max(0, -i0);
  const to = Math.min(pi, ni - i0);
  for (let k = Math.max(0, -k0); k < Math.min(pk, nk - k0); k++) {
    for (let j = Math.max(0, -j0); j < Math.min(pj, nj - j0); j++) {
      const row = ((k0 + k) * nj + j0 + j) * ni + i0;
      const patchRow = (k * pj + j) * pi;
      for (let i = from; i < to; i++) {
        into.input[patchRow + i] = INPUT_OF_BYTE[intensities[row + i]];
        into.targets[patchRow + i] = SHARE_OF_BYTE[targets[row + i]];
      }
    }
  }
}
