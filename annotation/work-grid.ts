import { affineOf, columnOf, toWorld } from '../imaging/affine';
import { spacingOf, toCanonical } from '../imaging/geometry';
import { foregroundOf, resampleTo } from '../imaging/resample';
import type { Geometry, Mask, Shape3, Vector3, Volume } from '../imaging/volume';

/**
 * The grid that a segmentation is computed on: a box of the volume with RAS+ axes and coarser, nearly cubic voxels whose values
 * are averages of the voxels that they cover. Axes in the world's order make an answer independent of the order in which the
 * volume stores them; averaging removes noise that interpolation would keep.
 */
export interface WorkGrid {
  readonly geometry: Geometry;
  /** Hounsfield units; i runs fastest. */
  readonly data: Float32Array;
}

/** First and last index along i, j, k, both in the box. */
export interface IndexBox {
  readonly first: Shape3;
  readonly last: Shape3;
}

/** The box of some voxels with `padMm` round it, within the volume. */
export function boxAround(points: readonly Shape3[], geometry: Geometry, padMm: number): IndexBox {
  const spacing = spacingOf(geometry);
  const pad = spacing.map((step) => Math.ceil(padMm / step));
  const along = (axis: number): number[] => points.map((point) => point[axis]);
  return {
    first: shapeOf((axis) => Math.max(0, Math.min(...along(axis)) - pad[axis])),
    last: shapeOf((axis) => Math.min(geometry.shape[axis] - 1, Math.max(...along(axis)) + pad[axis])),
  };
}

export function shapeOf(along: (axis: number) => number): Shape3 {
  return [along(0), along(1), along(2)];
}

/** The voxels of a box as a volume of their own; where the box leaves the volume, the outermost values are repeated. */
export function cropTo(volume: Volume, box: IndexBox): Volume<Float32Array> {
  const geometry = geometryOf(box, volume.geometry);
  const [ni, nj, nk] = volume.geometry.shape;
  const [ci, cj, ck] = geometry.shape;
  const data = new Float32Array(voxelsOf(geometry.shape));
  let at = 0;
  for (let k = 0; k < ck; k += 1) {
    for (let j = 0; j < cj; j += 1) {
      const row = (within(box.first[2] + k, nk) * nj + within(box.first[1] + j, nj)) * ni;
      for (let i = 0; i < ci; i += 1, at += 1) data[at] = volume.data[row + within(box.first[0] + i, ni)];
    }
  }
  return { geometry, data };
}

function within(index: number, size: number): number {
  return Math.min(size - 1, Math.max(0, index));
}

function geometryOf({ first, last }: IndexBox, { affine }: Pick<Geometry, 'affine'>): Geometry {
  const columns = [columnOf(affine, 0), columnOf(affine, 1), columnOf(affine, 2)] as const;
  return { shape: shapeOf((axis) => last[axis] - first[axis] + 1), affine: affineOf(columns, toWorld(affine, first)) };
}

/** The edge of the finest cubes of which at most `mostVoxels` cover a field of view; no cube is smaller than a voxel along an axis. */
export function workEdge(geometry: Geometry, mostVoxels: number): number {
  let edge = Math.min(...spacingOf(geometry));
  while (voxelsOf(cellsOf(geometry, edge)) > mostVoxels) edge *= 1.02;
  return edge;
}

function voxelsOf(shape: Shape3): number {
  return shape[0] * shape[1] * shape[2];
}

function cellsOf(geometry: Geometry, edgeMm: number): Shape3 {
  const native = spacingOf(geometry);
  return shapeOf((axis) => {
    const size = geometry.shape[axis];
    return Math.max(1, Math.min(size, Math.round((size * native[axis]) / edgeMm)));
  });
}

/** The volume with RAS+ axes, on cells of about `edgeMm` that cover exactly its field of view. */
export function toWorkGrid(volume: Volume<Float32Array>, edgeMm: number): WorkGrid {
  const upright = toCanonical(volume);
  return averaged(upright, cellsOf(upright.geometry, edgeMm));
}

/** The volume on `cells` voxels along its axes, each the mean of what it covers. */
export function averaged({ geometry, data }: Volume<Float32Array>, cells: Shape3): WorkGrid {
  const sizes = [...geometry.shape];
  let values = data;
  for (const axis of [0, 1, 2].sort((a, b) => cells[a] / sizes[a] - cells[b] / sizes[b])) {
    values = averageAlong(values, sizes, axis, cells[axis]);
    sizes[axis] = cells[axis];
  }
  const ratio = (axis: number): number => geometry.shape[axis] / cells[axis];
  const column = (axis: number): Vector3 => {
    const [x, y, z] = columnOf(geometry.affine, axis);
    return [x * ratio(axis), y * ratio(axis), z * ratio(axis)];
  };
  const corner = shapeOf((axis) => (ratio(axis) - 1) / 2);
  return {
    geometry: { shape: cells, affine: affineOf([column(0), column(1), column(2)], toWorld(geometry.affine, corner)) },
    data: values,
  };
}

/** Each of `cells` along an axis becomes the mean of what it covers; voxels at its ends count by the part that it covers. */
function averageAlong(source: Float32Array, sizes: readonly number[], axis: number, cells: number): Float32Array {
  const size = sizes[axis];
  if (cells === size) return source;
  const inner = sizes.slice(0, axis).reduce((product, length) => product * length, 1);
  const outer = sizes.slice(axis + 1).reduce((product, length) => product * length, 1);
  const result = new Float32Array(inner * cells * outer);
  const width = size / cells;
  for (let block = 0; block < outer; block += 1) {
    for (let cell = 0; cell < cells; cell += 1) {
      const begin = cell * width;
      const end = Math.min(size, begin + width);
      const to = (block * cells + cell) * inner;
      for (let index = Math.floor(begin); index < end; index += 1) {
        const share = (Math.min(end, index + 1) - Math.max(begin, index)) / width;
        const from = (block * size + index) * inner;
        for (let step = 0; step < inner; step += 1) result[to + step] += share * source[from + step];
      }
    }
  }
  return result;
}

/** Where a probability on the work grid of a box reaches a half: 1 in a mask on the whole volume's grid. */
export function maskOnVolume(probability: Volume, { first, last }: IndexBox, geometry: Geometry): Mask {
  const [ni, nj, nk] = geometry.shape;
  const box: IndexBox = {
    first: shapeOf((axis) => within(first[axis], geometry.shape[axis])),
    last: shapeOf((axis) => within(last[axis], geometry.shape[axis])),
  };
  const target = geometryOf(box, geometry);
  const [ci, cj, ck] = target.shape;
  const inBox = foregroundOf(resampleTo(probability, target).data);
  const data = new Uint8Array(ni * nj * nk);
  for (let k = 0; k < ck; k += 1) {
    for (let j = 0; j < cj; j += 1) {
      const from = (k * cj + j) * ci;
      const to = ((k + box.first[2]) * nj + j + box.first[1]) * ni + box.first[0];
      data.set(inBox.subarray(from, from + ci), to);
    }
  }
  return { geometry, data };
}
