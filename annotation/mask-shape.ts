import type { Shape3 } from '../imaging/volume';

/**
 * Topology of binary masks on a grid, over the six neighbours. Both operations are monotone: of two masks of which one contains
 * the other, so do the results.
 */

/** What of `mask` hangs together with one of `seeds`; seeds outside it reach nothing. */
export function reachableFrom(mask: Uint8Array, shape: Shape3, seeds: Iterable<number>): Uint8Array {
  const left = mask.slice();
  const reached = new Uint8Array(mask.length);
  for (const at of taken(left, shape, seeds, new Int32Array(mask.length))) reached[at] = 1;
  return reached;
}

/** The largest of the parts that hang together, the first of equals, and its number of voxels; 0 of an empty mask. */
export function largestPart(mask: Uint8Array, shape: Shape3): { readonly part: Uint8Array; readonly size: number } {
  const left = mask.slice();
  const queue = new Int32Array(mask.length);
  let best = new Int32Array(0);
  for (let at = 0; at < left.length; at += 1) {
    if (left[at] === 0) continue;
    const voxels = taken(left, shape, [at], queue);
    if (voxels.length > best.length) best = voxels.slice();
  }
  const part = new Uint8Array(mask.length);
  for (const at of best) part[at] = 1;
  return { part, size: best.length };
}

/** Takes out of `left` all that hangs together with the seeds, breadth first. Its offsets lie in `queue` until the next call. */
function taken(left: Uint8Array, shape: Shape3, seeds: Iterable<number>, queue: Int32Array): Int32Array {
  let filled = 0;
  const reach = (at: number): void => {
    if (left[at] === 0) return;
    left[at] = 0;
    queue[filled] = at;
    filled += 1;
  };
  for (const seed of seeds) reach(seed);
  const [ni, nj, nk] = shape;
  const plane = ni * nj;
  for (let head = 0; head < filled; head += 1) {
    const at = queue[head];
    const i = at % ni;
    const j = Math.floor(at / ni) % nj;
    const k = Math.floor(at / plane);
    if (i > 0) reach(at - 1);
    if (i + 1 < ni) reach(at + 1);
    if (j > 0) reach(at - ni);
    if (j + 1 < nj) reach(at + ni);
    if (k > 0) reach(at - plane);
    if (k + 1 < nk) reach(at + plane);
  }
  return queue.subarray(0, filled);
}

/**
 * The mask with every hole filled from which one cannot reach the border of the grid, or a voxel of `open`. On a grid of one slice
 * the border is that of the slice.
 */
export function withoutHoles(mask: Uint8Array, shape: Shape3, open: readonly number[] = []): Uint8Array {
  const outside = reachableFrom(
    mask.map((value) => (value === 0 ? 1 : 0)),
    shape,
    [...borderOf(shape), ...open],
  );
  return outside.map((value) => (value === 0 ? 1 : 0));
}

function borderOf([ni, nj, nk]: Shape3): number[] {
  const border: number[] = [];
  let at = 0;
  for (let k = 0; k < nk; k += 1) {
    for (let j = 0; j < nj; j += 1) {
      for (let i = 0; i < ni; i += 1, at += 1) {
        const side = i === 0 || j === 0 || i === ni - 1 || j === nj - 1;
        if (side || (nk > 1 && (k === 0 || k === nk - 1))) border.push(at);
      }
    }
  }
  return border;
}
