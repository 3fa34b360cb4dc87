import type { Mask } from '../../../imaging/volume';
import type { PostStep } from '../../config/pipeline';

type LargestComponent = Extract<PostStep, { kind: 'largest-component' }>;

/** Of each label, or of all of them together, only the largest connected part; of two of the same size the first. */
export function keepLargest(mask: Mask, { labels, independent, connectivity }: LargestComponent): Mask {
  const present = new Set(mask.data);
  const chosen = (labels ?? [...present]).filter((label) => label !== 0 && present.has(label));
  const groups = independent ? chosen.map((label) => [label]) : [chosen];
  const data = mask.data.slice();
  for (const group of groups) removeSmaller(mask, new Set(group), connectivity, data);
  return { geometry: mask.geometry, data };
}

const UNSEEN = 0;

function removeSmaller(
  { geometry, data }: Mask,
  group: ReadonlySet<number>,
  connectivity: number,
  result: Uint8Array,
): void {
  const [ni, nj, nk] = geometry.shape;
  const steps = neighbours(connectivity);
  /** Number of the component, from 1. */
  const component = new Int32Array(data.length);
  const stack = new Int32Array(data.length);
  let components = 0;
  let largest = 0;
  let largestSize = 0;
  for (let seed = 0; seed < data.length; seed += 1) {
    if (component[seed] !== UNSEEN || !group.has(data[seed])) continue;
    components += 1;
    component[seed] = components;
    stack[0] = seed;
    let size = 0;
    for (let height = 1; height > 0; ) {
      height -= 1;
      const at = stack[height];
      size += 1;
      const i = at % ni;
      const j = Math.floor(at / ni) % nj;
      const k = Math.floor(at / (ni * nj));
      for (const [di, dj, dk] of steps) {
        const [x, y, z] = [i + di, j + dj, k + dk];
        if (x < 0 || y < 0 || z < 0 || x >= ni || y >= nj || z >= nk) continue;
        const next = (z * nj + y) * ni + x;
        if (component[next] !== UNSEEN || !group.has(data[next])) continue;
        component[next] = components;
        stack[height] = next;
        height += 1;
      }
    }
    if (size > largestSize) [largest, largestSize] = [components, size];
  }
  for (let at = 0; at < data.length; at += 1) {
    if (component[at] !== UNSEEN && component[at] !== largest) result[at] = 0;
  }
}

/** Steps to voxels that share a face, an edge or a corner. */
function neighbours(connectivity: number): [number, number, number][] {
  const around = [-1, 0, 1];
  return around
    .flatMap((i) => around.flatMap((j) => around.map((k): [number, number, number] => [i, j, k])))
    .filter((step) => {
      const moved = step.filter((along) => along !== 0).length;
      return moved > 0 && moved <= connectivity;
    });
}
