/** Polygons round masks, made, moved and painted: what other rooms import. */
import { paint } from './polygons/paint';
import type { Polygons, Raster } from './polygons/polygon';
import { simplify } from './polygons/simplify';
import { traceOutlines } from './polygons/trace';
import type { Mask, Volume } from './volume';

export { editSlice, editVolume, type PolygonEdit, polygonEditSchema } from './polygons/edit';
export { paint } from './polygons/paint';
export { type Polygons, polygonsSchema, type Raster, slicesSchema, swapAxes } from './polygons/polygon';

/** The outlines of a slice. `every`: pixels of an outline from one vertex to the next, at most. */
export function polygonsOfSlice(mask: Raster, every: number): Polygons {
  return traceOutlines(mask).map((outline) => simplify(outline, every));
}

/** Slice k of a volume, without a copy. */
export function sliceOf({ geometry, data }: Volume, k: number): Raster {
  const [width, height] = geometry.shape;
  return { width, height, data: data.subarray(k * width * height, (k + 1) * width * height) };
}

/** What the polygons of all slices enclose, on the grid of a volume. */
export function paintVolume(slices: readonly Polygons[], geometry: Mask['geometry']): Mask {
  const [width, height, count] = geometry.shape;
  const data = new Uint8Array(width * height * count);
  for (let k = 0; k < Math.min(count, slices.length); k += 1) {
    if (slices[k].length > 0) data.set(paint(slices[k], width, height).data, k * width * height);
  }
  return { geometry, data };
}
