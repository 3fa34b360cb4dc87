import type { Point, Polygon, Raster } from './polygon';

/** How far a vertex may be drawn to an edge of the image, in pixels. */
const REACH = 2;
/** An edge counts when it is this much steeper than what is under the vertex... */
const STEEPER = 1.5;
/** ...and has this share of the steepest one along the way of all vertices looked at. */
const SHARE = 0.25;

/**
 * Draws vertices to the nearest edge of the image: along the normal of the polygon to where grey values change most, if they
 * change much more there. The vertex that a person has put somewhere is not among them.
 */
export function snapToEdges(polygon: Polygon, moved: readonly number[], image: Raster): Polygon {
  const ways = moved.map((at) => ({ at, ...wayOf(polygon, at, image) }));
  const steepest = ways.reduce((greatest, { best }) => Math.max(greatest, best), 0);
  const snapped = polygon.map((point): Point => [...point]);
  for (const { at, best, here, target } of ways) {
    if (best > STEEPER * here && best >= SHARE * steepest && best > 0) snapped[at] = target;
  }
  return snapped;
}

interface Way {
  /** Change of grey values at the vertex, and the greatest within reach. */
  readonly here: number;
  readonly best: number;
  readonly target: Point;
}

function wayOf(polygon: Polygon, at: number, image: Raster): Way {
  const count = polygon.length;
  const [x, y] = polygon[at];
  const [px, py] = polygon[(at + count - 1) % count];
  const [nx, ny] = polygon[(at + 1) % count];
  const length = Math.hypot(nx - px, ny - py);
  if (length === 0) return { here: 0, best: 0, target: [x, y] };
  const [dx, dy] = [(py - ny) / length, (nx - px) / length];
  const here = changeAt(image, x, y, dx, dy);
  let best = here;
  let target: Point = [x, y];
  for (let step = 1; step <= REACH; step += 1) {
    for (const signed of [step, -step]) {
      const [sx, sy] = [x + signed * dx, y + signed * dy];
      const change = changeAt(image, sx, sy, dx, dy);
      if (change > best) {
        best = change;
        target = [Math.round(sx), Math.round(sy)];
      }
    }
  }
  return { here, best, target };
}

function changeAt(image: Raster, x: number, y: number, dx: number, dy: number): number {
  return Math.abs(greyAt(image, x + dx, y + dy) - greyAt(image, x - dx, y - dy));
}

function greyAt({ width, height, data }: Raster, x: number, y: number): number {
  const column = Math.max(0, Math.min(width - 1, Math.round(x)));
  const row = Math.max(0, Math.min(height - 1, Math.round(y)));
  return data[row * width + column];
}
