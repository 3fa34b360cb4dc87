import type { Shape3, Vector3 } from '../imaging/volume';

/**
 * The cheapest way between two voxels over the 26 neighbours (Dijkstra 1959; Cohen and Kimmel, "Global minimum for active
 * contour models", IJCV 24, 1997), where a step costs its length in mm times the mean of `cost` at its ends.
 *
 * @returns voxel offsets from `target` back to `source`, both included
 */
export function minimalPath(
  cost: Float32Array,
  shape: Shape3,
  spacing: Vector3,
  source: number,
  target: number,
): number[] {
  const [ni, nj, nk] = shape;
  const plane = ni * nj;
  const distance = new Float64Array(cost.length).fill(Number.POSITIVE_INFINITY);
  const previous = new Int32Array(cost.length).fill(-1);
  const settled = new Uint8Array(cost.length);
  const front = new MinHeap();
  const steps = neighbours(shape, spacing);
  distance[source] = 0;
  front.push(0, source);
  for (let at = front.pop(); at >= 0; at = front.pop()) {
    if (settled[at] === 1) continue;
    settled[at] = 1;
    if (at === target) break;
    const i = at % ni;
    const j = Math.floor(at / ni) % nj;
    const k = Math.floor(at / plane);
    for (const { di, dj, dk, offset, length } of steps) {
      if (i + di < 0 || i + di >= ni || j + dj < 0 || j + dj >= nj || k + dk < 0 || k + dk >= nk) continue;
      const next = at + offset;
      if (settled[next] === 1) continue;
      const reached = distance[at] + length * 0.5 * (cost[at] + cost[next]);
      if (reached >= distance[next]) continue;
      distance[next] = reached;
      previous[next] = at;
      front.push(reached, next);
    }
  }
  const path: number[] = [];
  for (let at = target; at >= 0; at = previous[at]) path.push(at);
  return path;
}

interface Step {
  readonly di: number;
  readonly dj: number;
  readonly dk: number;
  readonly offset: number;
  /** mm */
  readonly length: number;
}

function neighbours([ni, nj]: Shape3, [hi, hj, hk]: Vector3): Step[] {
  const ways = [-1, 0, 1];
  return ways
    .flatMap((dk) => ways.flatMap((dj) => ways.map((di) => ({ di, dj, dk }))))
    .filter(({ di, dj, dk }) => di !== 0 || dj !== 0 || dk !== 0)
    .map(({ di, dj, dk }) => ({
      di,
      dj,
      dk,
      offset: (dk * nj + dj) * ni + di,
      length: Math.hypot(di * hi, dj * hj, dk * hk),
    }));
}

/** Binary heap of voxels by distance. A voxel may be in it several times; whoever pops skips those that are settled. */
class MinHeap {
  private readonly keys: number[] = [];
  private readonly values: number[] = [];

  push(key: number, value: number): void {
    const { keys, values } = this;
    let at = keys.length;
    keys.push(key);
    values.push(value);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (keys[parent] <= key) break;
      keys[at] = keys[parent];
      values[at] = values[parent];
      at = parent;
    }
    keys[at] = key;
    values[at] = value;
  }

  /** The value with the smallest key, or -1 when there is none. */
  pop(): number {
    const { keys, values } = this;
    if (keys.length === 0) return -1;
    const top = values[0];
    const key = keys.pop() as number;
    const value = values.pop() as number;
    const size = keys.length;
    if (size === 0) return top;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && keys[child + 1] < keys[child]) child += 1;
      if (keys[child] >= key) break;
      keys[at] = keys[child];
      values[at] = values[child];
      at = child;
    }
    keys[at] = key;
    values[at] = value;
    return top;
  }
}
