import type { Point, Polygon, Polygons, Raster } from './polygon';

/**
 * The mask that polygons enclose, their outlines included. A polygon within an odd number of others is a hole. Vertices beyond the
 * image count as on its edge.
 */
export function paint(polygons: Polygons, width: number, height: number): Raster<Uint8Array> {
  const data = new Uint8Array(width * height);
  const clamped = polygons
    .filter((polygon) => polygon.length > 0)
    .map((polygon) => polygon.map(([x, y]): Point => [clamp(Math.round(x), width), clamp(Math.round(y), height)]));
  const nested = clamped
    .map((polygon) => ({ polygon, depth: depthOf(polygon, clamped) }))
    .sort((a, b) => a.depth - b.depth);
  for (const { polygon, depth } of nested) {
    const value = depth % 2 === 0 ? 1 : 0;
    paintInside(polygon, value, data, width);
    paintOutline(polygon, value, data, width);
  }
  return { width, height, data };
}

function clamp(value: number, size: number): number {
  return Math.max(0, Math.min(size - 1, value));
}

/** In how many of the others the polygon lies with all its vertices. */
function depthOf(polygon: Polygon, all: readonly Polygon[]): number {
  let depth = 0;
  for (const other of all) {
    if (other !== polygon && polygon.every((point) => isWithin(point, other))) depth += 1;
  }
  return depth;
}

/** By the number of edges that a ray to the right crosses. Points on the outline itself may count either way. */
function isWithin([x, y]: Point, polygon: Polygon): boolean {
  let within = false;
  for (let at = 0, before = polygon.length - 1; at < polygon.length; before = at, at += 1) {
    const [ax, ay] = polygon[at];
    const [bx, by] = polygon[before];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
  }
  return within;
}

function paintInside(polygon: Polygon, value: number, data: Uint8Array, width: number): void {
  const rows = polygon.map(([, y]) => y);
  const top = rows.reduce((least, y) => Math.min(least, y));
  const bottom = rows.reduce((greatest, y) => Math.max(greatest, y));
  for (let y = top; y <= bottom; y += 1) {
    const crossings: number[] = [];
    for (let at = 0, before = polygon.length - 1; at < polygon.length; before = at, at += 1) {
      const [ax, ay] = polygon[at];
      const [bx, by] = polygon[before];
      if (ay > y !== by > y) crossings.push(((bx - ax) * (y - ay)) / (by - ay) + ax);
    }
    crossings.sort((a, b) => a - b);
    for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
      const from = Math.ceil(crossings[pair]);
      const to = Math.floor(crossings[pair + 1]);
      if (to >= from) data.fill(value, y * width + from, y * width + to + 1);
    }
  }
}

/** Every edge as the line of pixels that is nearest to it (Bresenham, 1965). */
function paintOutline(polygon: Polygon, value: number, data: Uint8Array, width: number): void {
  for (const [at, end] of polygon.entries()) {
    let [x, y] = polygon[(at + polygon.length - 1) % polygon.length];
    const [stepX, stepY] = [Math.sign(end[0] - x), Math.sign(end[1] - y)];
    const [dx, dy] = [Math.abs(end[0] - x), Math.abs(end[1] - y)];
    let error = dx - dy;
    for (;;) {
      data[y * width + x] = value;
      if (x === end[0] && y === end[1]) break;
      const doubled = 2 * error;
      if (doubled > -dy) {
        error -= dy;
        x += stepX;
      }
      if (doubled < dx) {
        error += dx;
        y += stepY;
      }
    }
  }
}
