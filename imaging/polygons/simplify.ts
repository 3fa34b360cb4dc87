import type { Point, Polygon } from './polygon';

/** How far a pixel of the outline may lie beside a simplified one, in pixels: less than what painting rounds away. */
const TOLERANCE = 0.5;
/** Of an outline of fewer pixels every bend is kept: one pixel of so small a structure is too much of it. */
const SMALL_PIXELS = 32;

/**
 * Fewer vertices for an outline that goes pixel by pixel: one after `every` pixels at the latest, and between those as many as
 * keep the outline within half a pixel, or exactly when it is small (Douglas and Peucker, 1973).
 */
export function simplify(outline: Polygon, every: number): Polygon {
  const kept: Polygon = [];
  const tolerance = outline.length < SMALL_PIXELS ? 0 : TOLERANCE;
  for (let from = 0; from < outline.length; from += every) {
    kept.push(outline[from]);
    keepBends(outline, from, Math.min(from + every, outline.length), { tolerance, kept });
  }
  return kept;
}

interface Simplified {
  /** Pixels. */
  readonly tolerance: number;
  readonly kept: Polygon;
}

/** Adds what must stay between two vertices; the index after the last stands for the first. */
function keepBends(outline: Polygon, from: number, to: number, into: Simplified): void {
  const a = outline[from];
  const b = outline[to % outline.length];
  let farthest = into.tolerance;
  let bend: number | undefined;
  for (let at = from + 1; at < to; at += 1) {
    const distance = distanceToSegment(outline[at], a, b);
    if (distance > farthest) {
      farthest = distance;
      bend = at;
    }
  }
  if (bend === undefined) return;
  keepBends(outline, from, bend, into);
  into.kept.push(outline[bend]);
  keepBends(outline, bend, to, into);
}

function distanceToSegment([x, y]: Point, [ax, ay]: Point, [bx, by]: Point): number {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / length));
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
}
