import { z } from 'zod';
import { ClaraError } from '../../base/errors';
import { type Point, type Polygon, type Polygons, polygonsSchema, type Raster, slicesSchema } from './polygon';
import { snapToEdges } from './snap';

const offsetSchema = z.tuple([z.number().min(-1e6).max(1e6), z.number().min(-1e6).max(1e6)]);
const reachSchema = z.int().min(0).max(1000);

const vertexFields = {
  polygon: z.int().nonnegative(),
  vertex: z.int().nonnegative(),
  offset: offsetSchema,
  /** How many vertices to each side go along. */
  neighbours: reachSchema,
};

/** A vertex that a person has dragged, in one slice or in a volume. */
export const polygonEditSchema = z.discriminatedUnion('dimension', [
  z.object({ dimension: z.literal(2), polygons: polygonsSchema, ...vertexFields }),
  z.object({
    dimension: z.literal(3),
    slices: slicesSchema,
    slice: z.int().nonnegative(),
    /** How many slices to each side go along. */
    neighbourSlices: reachSchema,
    ...vertexFields,
  }),
]);

export type PolygonEdit = z.infer<typeof polygonEditSchema>;
export type SliceEdit = Extract<PolygonEdit, { dimension: 2 }>;
export type VolumeEdit = Extract<PolygonEdit, { dimension: 3 }>;

/**
 * Moves a vertex and, ever less with distance, its neighbours along the outline; those are then drawn to edges of the image.
 *
 * @throws ClaraError invalid-input when there is no such vertex
 */
export function editSlice({ polygons, polygon, vertex, offset, neighbours }: SliceEdit, image: Raster): Polygons {
  mustExist(polygons, polygon, vertex);
  const edited = drag(polygons[polygon], vertex, offset, neighbours, 1, image);
  return polygons.map((other, at) => (at === polygon ? edited : other));
}

/**
 * The same in a volume: in slices nearby the vertex that lies nearest to the one that was dragged goes along, ever less with the
 * distance of the slice. A slice in which none lies near is left alone.
 *
 * @param imageOf a slice of the volume
 * @throws ClaraError invalid-input when there is no such vertex
 */
export function editVolume(edit: VolumeEdit, imageOf: (slice: number) => Raster): Polygons[] {
  const { slices, slice, polygon, vertex, offset, neighbours, neighbourSlices } = edit;
  if (slice >= slices.length) throw missing(`slice ${slice}`, `${slices.length} slices`);
  mustExist(slices[slice], polygon, vertex);
  const from = slices[slice][polygon][vertex];
  return slices.map((polygons, at) => {
    if (at === slice) return editSlice({ ...edit, dimension: 2, polygons }, imageOf(at));
    const distance = Math.abs(at - slice);
    const nearest = distance <= neighbourSlices ? nearestVertex(polygons, from) : undefined;
    if (nearest === undefined || nearest.distance > NEAR + Math.hypot(...offset)) return polygons;
    const share = falloff(distance, neighbourSlices);
    const edited = drag(polygons[nearest.polygon], nearest.vertex, offset, neighbours, share, imageOf(at));
    return polygons.map((other, index) => (index === nearest.polygon ? edited : other));
  });
}

/** A vertex of another slice farther from the dragged one than this, in pixels, belongs to something else. */
const NEAR = 16;

/** From 1 at no distance to 0 just beyond `reach`, smooth at both ends. */
function falloff(distance: number, reach: number): number {
  return (1 + Math.cos((Math.PI * distance) / (reach + 1))) / 2;
}

function drag(
  polygon: Polygon,
  vertex: number,
  [dx, dy]: readonly [number, number],
  neighbours: number,
  share: number,
  image: Raster,
): Polygon {
  const count = polygon.length;
  // A polygon whose vertices all lie within reach would move as a whole, the far side counted twice.
  const reach = Math.min(neighbours, Math.floor((count - 1) / 2));
  const moved = polygon.map((point): Point => [...point]);
  const followers: number[] = [];
  for (let step = -reach; step <= reach; step += 1) {
    const at = (vertex + step + count) % count;
    const weight = share * falloff(Math.abs(step), reach);
    moved[at] = within([polygon[at][0] + weight * dx, polygon[at][1] + weight * dy], image);
    if (step !== 0 || share < 1) followers.push(at);
  }
  return snapToEdges(moved, followers, image);
}

function within([x, y]: Point, { width, height }: Raster): Point {
  return [Math.max(0, Math.min(width - 1, Math.round(x))), Math.max(0, Math.min(height - 1, Math.round(y)))];
}

function nearestVertex(polygons: Polygons, [x, y]: Point) {
  let nearest: { polygon: number; vertex: number; distance: number } | undefined;
  for (const [polygon, vertices] of polygons.entries()) {
    for (const [vertex, point] of vertices.entries()) {
      const distance = Math.hypot(point[0] - x, point[1] - y);
      if (nearest === undefined || distance < nearest.distance) nearest = { polygon, vertex, distance };
    }
  }
  return nearest;
}

function mustExist(polygons: Polygons, polygon: number, vertex: number): void {
  if (polygon >= polygons.length) throw missing(`polygon ${polygon}`, `${polygons.length} polygons`);
  if (vertex >= polygons[polygon].length) throw missing(`vertex ${vertex}`, `${polygons[polygon].length} vertices`);
}

function missing(what: string, there: string): ClaraError {
  return new ClaraError('invalid-input', `There is no ${what} among ${there}; indices count from 0.`);
}
