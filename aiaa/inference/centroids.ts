import type { Mask } from '../../imaging/volume';

/** A label's value and the mean of its voxels' indices, rounded to a voxel. */
export type Centroid = [value: number, i: number, j: number, k: number];

/** The centroid of each label that occurs, by value. */
export function centroidsOf({ geometry, data }: Mask): Centroid[] {
  const [ni, nj, nk] = geometry.shape;
  const sums = new Map<number, [count: number, i: number, j: number, k: number]>();
  let at = 0;
  for (let k = 0; k < nk; k += 1) {
    for (let j = 0; j < nj; j += 1) {
      for (let i = 0; i < ni; i += 1, at += 1) {
        const value = data[at];
        if (value === 0) continue;
        const sum = sums.get(value);
        if (sum === undefined) sums.set(value, [1, i, j, k]);
        else {
          sum[0] += 1;
          sum[1] += i;
          sum[2] += j;
          sum[3] += k;
        }
      }
    }
  }
  return [...sums]
    .sort(([a], [b]) => a - b)
    .map(([value, [count, i, j, k]]) => [value, Math.round(i / count), Math.round(j / count), Math.round(k / count)]);
}
