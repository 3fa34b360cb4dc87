import { spacingOf } from '../imaging/geometry';
import type { Shape3, Volume } from '../imaging/volume';
import { tissueOf, withinTissue } from './tissue-model';
import { averaged, boxAround, cropTo, type IndexBox, shapeOf, type WorkGrid } from './work-grid';

/**
 * The part of a volume in which clicks are answered. Its cells are blocks of whole voxels that begin at voxel 0 of the volume,
 * so that another click changes how many there are, but never what is in one.
 */
export interface ClickGrid extends WorkGrid {
  /** What the cells cover; it may reach a little beyond the volume. */
  readonly box: IndexBox;
  /** 1 where the structure cannot be: the rim of the grid, except where the volume itself ends there. */
  readonly closed: Uint8Array;
  /** Standard deviation between neighbouring cells of soft tissue, HU; the same for all clicks. */
  readonly noise: number;
}

export interface ClickGridOptions {
  /** How far from the clicks the structure may be. */
  readonly reachMm: number;
  /** Width of the closed rim. */
  readonly haloMm: number;
  /** The only slice, along k. */
  readonly slice?: number;
}

/** Coarsest useful detail: organs in 3D, vessels in a slice. */
const EDGE_MM = { volume: 3, slice: 1 } as const;

export function clickGrid(volume: Volume, clicks: readonly Shape3[], options: ClickGridOptions): ClickGrid {
  const { geometry } = volume;
  const spacing = spacingOf(geometry);
  const flat = options.slice !== undefined;
  const wanted = flat ? EDGE_MM.slice : EDGE_MM.volume;
  const block = shapeOf((axis) => (flat && axis === 2 ? 1 : Math.max(1, Math.round(wanted / spacing[axis]))));
  const open = boxAround(clicks, geometry, options.reachMm);
  const wide = boxAround(clicks, geometry, options.reachMm + options.haloMm);
  const start = (index: number, axis: number): number => Math.floor(index / block[axis]) * block[axis];
  const one = (box: Shape3, axis: number): number => (flat && axis === 2 ? (options.slice as number) : box[axis]);
  const box: IndexBox = {
    first: shapeOf((axis) => start(one(wide.first, axis), axis)),
    last: shapeOf((axis) => start(one(wide.last, axis), axis) + block[axis] - 1),
  };
  const cells = shapeOf((axis) => (box.last[axis] - box.first[axis] + 1) / block[axis]);
  const grid = averaged(withinTissue(cropTo(volume, box)), cells);
  const isOpen = (index: number, axis: number): boolean => {
    if (flat && axis === 2) return true;
    const at = box.first[axis] + index * block[axis];
    return at >= start(open.first[axis], axis) && at <= open.last[axis];
  };
  return { ...grid, box, closed: closedCells(cells, isOpen), noise: noiseOf(volume, block) };
}

function closedCells([ni, nj, nk]: Shape3, isOpen: (index: number, axis: number) => boolean): Uint8Array {
  const closed = new Uint8Array(ni * nj * nk);
  let at = 0;
  for (let k = 0; k < nk; k += 1) {
    for (let j = 0; j < nj; j += 1) {
      const row = isOpen(k, 2) && isOpen(j, 1);
      for (let i = 0; i < ni; i += 1, at += 1) closed[at] = row && isOpen(i, 0) ? 0 : 1;
    }
  }
  return closed;
}

/** Samples along each axis, each a small cube of cells. */
const SAMPLES = 4;
const SAMPLE_CELLS = 6;
const SOFT_TISSUE = { low: -150, high: 250 } as const;
/** Volumes without soft tissue, and those without noise. */
const NOISE_HU = { unknown: 15, least: 4 } as const;

function noiseOf(volume: Volume, block: Shape3): number {
  const { shape } = volume.geometry;
  const corners = shape.map((size, axis) => {
    const rooms = Math.max(1, Math.floor(size / block[axis]) - SAMPLE_CELLS);
    return [...new Set(Array.from({ length: SAMPLES }, (_, n) => Math.floor((rooms * (n + 1)) / (SAMPLES + 1))))];
  });
  const steps: number[] = [];
  for (const k of corners[2]) {
    for (const j of corners[1]) {
      for (const i of corners[0]) collectSteps(volume, block, [i, j, k], steps);
    }
  }
  return steps.length === 0 ? NOISE_HU.unknown : Math.max(NOISE_HU.least, tissueOf(steps).spread);
}

/** Differences of neighbouring cells of soft tissue in the cube of cells that begins at `corner`. */
function collectSteps(volume: Volume, block: Shape3, corner: Shape3, steps: number[]): void {
  const { shape } = volume.geometry;
  const cells = shapeOf((axis) =>
    Math.max(1, Math.min(SAMPLE_CELLS, Math.floor(shape[axis] / block[axis]) - corner[axis])),
  );
  const first = shapeOf((axis) => corner[axis] * block[axis]);
  const last = shapeOf((axis) => first[axis] + cells[axis] * block[axis] - 1);
  const { data } = averaged(cropTo(volume, { first, last }), cells);
  const soft = (value: number): boolean => value > SOFT_TISSUE.low && value < SOFT_TISSUE.high;
  const strides = [1, cells[0], cells[0] * cells[1]];
  for (let at = 0; at < data.length; at += 1) {
    strides.forEach((stride, axis) => {
      const hasNext = Math.floor(at / stride) % cells[axis] < cells[axis] - 1;
      if (hasNext && soft(data[at]) && soft(data[at + stride])) steps.push(data[at + stride] - data[at]);
    });
  }
}
