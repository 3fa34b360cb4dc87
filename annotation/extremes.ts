import type { Shape3, Vector3 } from '../imaging/volume';

/** Each costs two searches. */
const MOST_EXTRA_POINTS = 6;

/** Of each axis the first and the last point, as offsets; of several that tie the lowest. Other points join the first pair. */
export function pairsOf(points: readonly Shape3[], offsetOf: (point: Shape3) => number): [number, number][] {
  const inOrder = [...points].sort((a, b) => offsetOf(a) - offsetOf(b));
  const used = new Set<Shape3>();
  const pairs = [0, 1, 2].map((axis): [number, number] => {
    const first = inOrder.reduce((best, point) => (point[axis] < best[axis] ? point : best));
    const last = inOrder.reduce((best, point) => (point[axis] > best[axis] ? point : best));
    used.add(first).add(last);
    return [offsetOf(first), offsetOf(last)];
  });
  const others = inOrder
    .filter((point) => !used.has(point))
    .map((point): [number, number] => [offsetOf(point), pairs[0][1]]);
  return [...pairs, ...others.slice(0, MOST_EXTRA_POINTS)];
}

/** mm that each voxel of a grid lies outside the box from `first` to `last`, along the axis where it is most; negative inside. */
export function distanceOutside(
  [ni, nj, nk]: Shape3,
  [hi, hj, hk]: Vector3,
  first: Shape3,
  last: Shape3,
): Float32Array {
  const along = (index: number, axis: number, step: number): number =>
    Math.max(first[axis] - index, index - last[axis]) * step;
  const result = new Float32Array(ni * nj * nk);
  let at = 0;
  for (let k = 0; k < nk; k += 1) {
    const downs = along(k, 2, hk);
    for (let j = 0; j < nj; j += 1) {
      const row = Math.max(downs, along(j, 1, hj));
      for (let i = 0; i < ni; i += 1, at += 1) result[at] = Math.max(row, along(i, 0, hi));
    }
  }
  return result;
}
