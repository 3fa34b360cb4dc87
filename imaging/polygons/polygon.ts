import { z } from 'zod';

/** Outlines in a slice, as image indices of pixel centres. The last vertex joins the first; a single one is a pixel. */

export type Point = [x: number, y: number];
export type Polygon = Point[];
/** All outlines of a slice. One that lies within another is a hole in it, one within a hole an island, and so on. */
export type Polygons = Polygon[];

/** A slice of numbers, row by row. */
export interface Raster<Values extends ArrayLike<number> = ArrayLike<number>> {
  readonly width: number;
  readonly height: number;
  readonly data: Values;
}

const FARTHEST = 1e6;
/** Far more than a person has drawn, few enough to be compared with each other. */
const MAX_POLYGONS = 1024;
const MAX_VERTICES = 65_536;
const MAX_SLICES = 32_767;

const pointSchema = z.tuple([z.number().min(-FARTHEST).max(FARTHEST), z.number().min(-FARTHEST).max(FARTHEST)]);

export const polygonsSchema = z
  .array(z.array(pointSchema).max(MAX_VERTICES))
  .max(MAX_POLYGONS, `a slice may have ${MAX_POLYGONS} polygons`);

export const slicesSchema = z.array(polygonsSchema).max(MAX_SLICES);

export function swapAxes(slices: readonly Polygons[]): Polygons[] {
  return slices.map((polygons) => polygons.map((polygon) => polygon.map(([x, y]): Point => [y, x])));
}
