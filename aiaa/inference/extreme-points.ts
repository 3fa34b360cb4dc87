import type { Mask } from '../../imaging/volume';

export type VoxelIndex = [i: number, j: number, k: number];

/**
 * The six extreme voxels of everything that is not background: first and last along i, then j, then k, as image indices.
 * That is what DEXTR3D asks a person to click, so a client can go on from an automatic result. Empty for an empty mask.
 */
export function extremePointsOf({ geometry, data }: Mask): VoxelIndex[] {
  const [ni, nj, nk] = geometry.shape;
  const found: VoxelIndex[] = [];
  let at = 0;
  for (let k = 0; k < nk; k += 1) {
    for (let j = 0; j < nj; j += 1) {
      for (let i = 0; i < ni; i += 1, at += 1) {
        if (data[at] !== 0) extend(found, i, j, k);
      }
    }
  }
  return found;
}

function extend(found: VoxelIndex[], i: number, j: number, k: number): void {
  if (found.length === 0) {
    for (let side = 0; side < 6; side += 1) found.push([i, j, k]);
    return;
  }
  if (i < found[0][0]) found[0] = [i, j, k];
  if (i > found[1][0]) found[1] = [i, j, k];
  if (j < found[2][1]) found[2] = [i, j, k];
  if (j > found[3][1]) found[3] = [i, j, k];
  if (k < found[4][2]) found[4] = [i, j, k];
  if (k > found[5][2]) found[5] = [i, j, k];
}
