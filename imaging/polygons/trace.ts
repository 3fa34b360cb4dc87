import type { Point, Polygons, Raster } from './polygon';

/**
 * The outlines of everything that is not 0, pixel by pixel: of each structure (8-connected), and of each hole in it
 * (4-connected) the hole's own outermost pixels. Painting structures and holes in turn gives the mask back exactly.
 */
export function traceOutlines(mask: Raster<ArrayLike<number>>): Polygons {
  const box = boundingBox(mask);
  if (box === undefined) return [];
  // A margin of one pixel round the structures: their outside is one region, and no neighbour is beyond the memory.
  const width = box.right - box.left + 3;
  const height = box.bottom - box.top + 3;
  const inside = new Uint8Array(width * height);
  for (let y = box.top; y <= box.bottom; y += 1) {
    for (let x = box.left; x <= box.right; x += 1) {
      if (mask.data[y * mask.width + x] !== 0) inside[(y - box.top + 1) * width + x - box.left + 1] = 1;
    }
  }
  const regions = new Regions(inside, width);
  regions.fill(0, 0);
  const outlines: Polygons = [];
  for (let start = 0; start < inside.length; start += 1) {
    if (regions.isLabelled(start)) continue;
    regions.fill(start, inside[start]);
    outlines.push(
      regions
        .outlineFrom(start, inside[start])
        .map((at): Point => [(at % width) + box.left - 1, Math.floor(at / width) + box.top - 1]),
    );
  }
  return outlines;
}

interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

function boundingBox({ width, height, data }: Raster): Box | undefined {
  let [left, right, top, bottom] = [width, -1, height, -1];
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      if (data[at] === 0) continue;
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < top) top = y;
      bottom = y;
    }
  }
  return right < 0 ? undefined : { left, right, top, bottom };
}

/** Every direction for what is inside. What is outside touches along edges alone, so that it does not leak through corners. */
const stepOf = (kind: number): number => (kind === 0 ? 2 : 1);

/** Connected regions of pixels that are alike, found one by one. */
class Regions {
  private readonly labels: Int32Array;
  /** Clockwise from the right; steps of one pixel. */
  private readonly around: readonly number[];
  private last = 0;

  constructor(
    private readonly inside: Uint8Array,
    width: number,
  ) {
    this.labels = new Int32Array(inside.length);
    this.around = [1, width + 1, width, width - 1, -1, -width - 1, -width, -width + 1];
  }

  isLabelled(at: number): boolean {
    return this.labels[at] !== 0;
  }

  /** Labels the region that `start` is in. */
  fill(start: number, kind: number): void {
    this.last += 1;
    const step = stepOf(kind);
    const open = [start];
    this.labels[start] = this.last;
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      for (let turn = 0; turn < 8; turn += step) {
        const next = at + this.around[turn];
        if (next < 0 || next >= this.labels.length) continue;
        if (this.labels[next] !== 0 || this.inside[next] !== kind) continue;
        this.labels[next] = this.last;
        open.push(next);
      }
    }
  }

  /**
   * Walks round the region of `start`, its first pixel row by row, keeping what is outside on the left (Moore's neighbourhood
   * tracing, stopped as Jacob has it: at the first pixel, about to take the first step again). A hole is walked along edges as
   * well: a walk across corners would cut off what reaches into it from outside through a corner.
   */
  outlineFrom(start: number, kind: number): number[] {
    const step = stepOf(kind);
    const label = this.labels[start];
    const outline = [start];
    let at = start;
    let turn = this.firstTurn(at, 0, step, label);
    if (turn === undefined) return outline;
    const first = turn;
    for (;;) {
      at += this.around[turn];
      // Look on from two before the direction back to where we came from.
      turn = this.firstTurn(at, (turn + 6) % 8, step, label)!;
      if (at === start && turn === first) return outline;
      outline.push(at);
    }
  }

  private firstTurn(at: number, from: number, step: number, label: number): number | undefined {
    for (let tried = 0; tried < 8; tried += step) {
      const turn = (from + tried) % 8;
      if (this.labels[at + this.around[turn]] === label) return turn;
    }
    return undefined;
  }
}
