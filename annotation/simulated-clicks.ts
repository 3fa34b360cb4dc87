import { squaredDistances } from '../imaging/distance-transform';
import { spacingOf } from '../imaging/geometry';
import type { Mask, Shape3 } from '../imaging/volume';
import { largestPart } from './mask-shape';

/** A click that a person would make. */
export interface NextClick {
  readonly at: Shape3;
  /** True on what the answer misses, false on what it wrongly took. */
  readonly foreground: boolean;
}

/**
 * The click of a person who compares an answer with the truth: in the middle of the largest connected error, where the middle
 * is the voxel farthest from its border (Sakinis et al. 2019; Xu et al., "Deep interactive object selection", CVPR 2016).
 *
 * @param slice only errors in this slice count
 * @returns undefined when there is no error
 */
export function nextClick(truth: Mask, answer: Mask, slice?: number): NextClick | undefined {
  const { shape } = truth.geometry;
  const plane = shape[0] * shape[1];
  const errors = (foreground: boolean): Uint8Array =>
    truth.data.map((value, at) => {
      if (slice !== undefined && Math.floor(at / plane) !== slice) return 0;
      return (value !== 0) !== (answer.data[at] !== 0) && (value !== 0) === foreground ? 1 : 0;
    });
  const missed = largestPart(errors(true), shape);
  const taken = largestPart(errors(false), shape);
  if (missed.size === 0 && taken.size === 0) return undefined;
  const foreground = missed.size >= taken.size;
  return { at: middleOf(foreground ? missed.part : taken.part, truth, slice), foreground };
}

/** Farthest from everything outside the part, within the slice if there is one; the end of the grid counts as inside. */
function middleOf(part: Uint8Array, { geometry }: Mask, slice?: number): Shape3 {
  const [ni, nj, nk] = geometry.shape;
  const layers = slice === undefined ? { first: 0, count: nk } : { first: slice, count: 1 };
  const start = layers.first * ni * nj;
  const looked = part.subarray(start, start + layers.count * ni * nj);
  const outside = looked.map((value) => (value === 0 ? 1 : 0));
  const distances = squaredDistances(outside, [ni, nj, layers.count], spacingOf(geometry));
  let best = -1;
  for (let at = 0; at < looked.length; at += 1) {
    if (looked[at] === 1 && (best < 0 || distances[at] > distances[best])) best = at;
  }
  return [best % ni, Math.floor(best / ni) % nj, layers.first + Math.floor(best / (ni * nj))];
}
