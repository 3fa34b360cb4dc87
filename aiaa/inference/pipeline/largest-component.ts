import type { Mask } from '../../../imaging/volume';
import type { PostStep } from '../../config/pipeline';

type LargestComponent = Extract<PostStep, { kind: 'largest-component' }>;

const LABELS = 256;

/**
 * Of each label, or of all of them together, only the largest connected part; of two of the same size the first. One pass for all labels:
 * rows of the volume are cut into runs of one label, and runs of neighbouring rows that touch are joined (He, Chao, Suzuki, "A run-based
 * two-scan labeling algorithm", IEEE Transactions on Image Processing 17, 2008).
 */
export function keepLargest(mask: Mask, { labels, independent, connectivity }: LargestComponent): Mask {
  /** 0 for what is left as it is; voxels of one group may hang together. */
  const groupOf = new Uint8Array(LABELS);
  for (let label = 1; label < LABELS; label += 1) {
    if (labels === null || labels.includes(label)) groupOf[label] = independent ? label : 1;
  }
  const runs = runsOf(mask, groupOf);
  joinRows(runs, mask.geometry.shape[1], connectivity);

  const size = new Float64Array(runs.count);
  for (let run = 0; run < runs.count; run += 1) size[rootOf(runs.parent, run)] += runs.end[run] - runs.begin[run];
  const largest = new Int32Array(LABELS).fill(-1);
  for (let run = 0; run < runs.count; run += 1) {
    const group = runs.group[run];
    if (largest[group] === -1 || size[run] > size[largest[group]]) largest[group] = run;
  }
  const data = mask.data.slice();
  for (let run = 0; run < runs.count; run += 1) {
    if (rootOf(runs.parent, run) !== largest[runs.group[run]]) data.fill(0, runs.begin[run], runs.end[run]);
  }
  return { geometry: mask.geometry, data };
}

/** Voxels of one group beside each other along i, in the order of the volume. */
interface Runs {
  readonly count: number;
  /** First offset of each run, and the one behind its last. */
  readonly begin: Int32Array;
  readonly end: Int32Array;
  readonly group: Uint8Array;
  /** A run of the same part that comes before it, or itself: the first one of a part is its root. */
  readonly parent: Int32Array;
  /** Voxels of a row. */
  readonly width: number;
  /** First run of each row, and at the end their number. */
  readonly firstOfRow: Int32Array;
}

function runsOf({ geometry, data }: Mask, groupOf: Uint8Array): Runs {
  const [width, nj, nk] = geometry.shape;
  const rows = nj * nk;
  const firstOfRow = new Int32Array(rows + 1);
  const scan = (onRun: (run: number, begin: number, end: number, group: number) => void): number => {
    let count = 0;
    for (let row = 0; row < rows; row += 1) {
      firstOfRow[row] = count;
      const end = (row + 1) * width;
      for (let at = row * width; at < end; ) {
        const begin = at;
        const group = groupOf[data[at]];
        for (at += 1; at < end && groupOf[data[at]] === group; ) at += 1;
        if (group === 0) continue;
        onRun(count, begin, at, group);
        count += 1;
      }
    }
    firstOfRow[rows] = count;
    return count;
  };
  const count = scan(() => {});
  const begin = new Int32Array(count);
  const end = new Int32Array(count);
  const group = new Uint8Array(count);
  scan((run, first, behind, of) => {
    begin[run] = first;
    end[run] = behind;
    group[run] = of;
  });
  return { count, begin, end, group, parent: begin.map((_, run) => run), width, firstOfRow };
}

/** Joins runs with those of the rows before that share a face (1), an edge (2) or a corner (3) with theirs. */
function joinRows(runs: Runs, nj: number, connectivity: number): void {
  const rows = runs.firstOfRow.length - 1;
  const before: [dj: number, dk: number][] = [
    [-1, 0],
    [0, -1],
    [-1, -1],
    [1, -1],
  ];
  for (let row = 0; row < rows; row += 1) {
    const j = row % nj;
    for (const [dj, dk] of before) {
      const moved = Math.abs(dj) + Math.abs(dk);
      const other = row + dk * nj + dj;
      if (moved > connectivity || j + dj < 0 || j + dj >= nj || other < 0) continue;
      joinTouching(runs, row, other, moved < connectivity ? 1 : 0);
    }
  }
}

/** @param reach how far along i a run touches beyond its own voxels */
function joinTouching(
  { begin, end, group, parent, width, firstOfRow }: Runs,
  row: number,
  other: number,
  reach: number,
): void {
  const shift = (row - other) * width;
  const behind = firstOfRow[other + 1];
  let first = firstOfRow[other];
  for (let a = firstOfRow[row]; a < firstOfRow[row + 1]; a += 1) {
    while (first < behind && end[first] + shift + reach <= begin[a]) first += 1;
    for (let b = first; b < behind && begin[b] + shift < end[a] + reach; b += 1) {
      if (group[a] === group[b]) join(parent, a, b);
    }
  }
}

function join(parent: Int32Array, a: number, b: number): void {
  const [rootA, rootB] = [rootOf(parent, a), rootOf(parent, b)];
  if (rootA < rootB) parent[rootB] = rootA;
  else parent[rootA] = rootB;
}

function rootOf(parent: Int32Array, run: number): number {
  let at = run;
  while (parent[at] !== at) {
    parent[at] = parent[parent[at]];
    at = parent[at];
  }
  return at;
}
