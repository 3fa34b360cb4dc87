import { ClaraError } from '../base/errors';
import type { Affine, Vector3 } from './volume';

/** Arithmetic of voxel-to-world matrices. */

export const IDENTITY: Affine = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0];

/** World position, RAS+ mm, of a voxel index; indices may be fractional. */
export function toWorld(affine: Affine, [i, j, k]: Vector3): Vector3 {
  return [
    affine[0] * i + affine[1] * j + affine[2] * k + affine[3],
    affine[4] * i + affine[5] * j + affine[6] * k + affine[7],
    affine[8] * i + affine[9] * j + affine[10] * k + affine[11],
  ];
}

/** The step in the world, mm, that one index along `axis` makes. */
export function columnOf(affine: Affine, axis: number): Vector3 {
  return [affine[axis], affine[4 + axis], affine[8 + axis]];
}

/** An affine from three index steps and the position of voxel (0, 0, 0). */
export function affineOf(columns: readonly [Vector3, Vector3, Vector3], origin: Vector3): Affine {
  const [a, b, c] = columns;
  return [a[0], b[0], c[0], origin[0], a[1], b[1], c[1], origin[1], a[2], b[2], c[2], origin[2]];
}

/** `second` after `first`. */
export function compose(second: Affine, first: Affine): Affine {
  const column = (axis: number): Vector3 => {
    const [x, y, z] = toWorld(second, columnOf(first, axis));
    return [x - second[3], y - second[7], z - second[11]];
  };
  return affineOf([column(0), column(1), column(2)], toWorld(second, columnOf(first, 3)));
}

export function determinantOf(affine: Affine): number {
  const [a, b, c, , d, e, f, , g, h, i] = affine;
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}

export function lengthOf([x, y, z]: Vector3): number {
  return Math.hypot(x, y, z);
}

/** A shorter voxel edge, mm, is no measurement; and its inverse would leave the range of numbers. */
const SHORTEST_EDGE = 1e-9;

/**
 * Whether the three axes span the space: the volume of the voxel against that of a box with the same edges. Below one part
 * in a million two axes are parallel for every practical purpose.
 */
export function isInvertible(affine: Affine): boolean {
  const edges = [0, 1, 2].map((axis) => lengthOf(columnOf(affine, axis)));
  const box = edges[0] * edges[1] * edges[2];
  return Number.isFinite(box) && Math.min(...edges) >= SHORTEST_EDGE && Math.abs(determinantOf(affine)) > 1e-6 * box;
}

/** Cosines between axes above this are a shear. */
const SHEAR_TOLERANCE = 1e-4;

/** Whether the axes are at right angles, so that the affine is a rotation, a scaling and maybe a mirror image. */
export function hasRightAngles(affine: Affine): boolean {
  return [
    [0, 1],
    [0, 2],
    [1, 2],
  ].every(([first, second]) => {
    const u = columnOf(affine, first);
    const v = columnOf(affine, second);
    const product = u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
    return Math.abs(product) <= SHEAR_TOLERANCE * lengthOf(u) * lengthOf(v);
  });
}

/** The inverse: RAS+ mm to voxel indices. @throws ClaraError invalid-input when the matrix is singular */
export function invert(affine: Affine): Affine {
  if (!affine.every(Number.isFinite) || !isInvertible(affine)) {
    throw new ClaraError(
      'invalid-input',
      `the affine [${affine.join(', ')}] is singular: its axes must span the space`,
    );
  }
  const [a, b, c, x, d, e, f, y, g, h, i, z] = affine;
  const scale = 1 / determinantOf(affine);
  const linear = [
    (e * i - f * h) * scale,
    (c * h - b * i) * scale,
    (b * f - c * e) * scale,
    (f * g - d * i) * scale,
    (a * i - c * g) * scale,
    (c * d - a * f) * scale,
    (d * h - e * g) * scale,
    (b * g - a * h) * scale,
    (a * e - b * d) * scale,
  ];
  const offset = (row: number): number => -(linear[row * 3] * x + linear[row * 3 + 1] * y + linear[row * 3 + 2] * z);
  return [
    linear[0],
    linear[1],
    linear[2],
    offset(0),
    linear[3],
    linear[4],
    linear[5],
    offset(1),
    linear[6],
    linear[7],
    linear[8],
    offset(2),
  ];
}
