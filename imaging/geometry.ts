import { ClaraError } from '../base/errors';
import { affineOf, columnOf, hasRightAngles, lengthOf, toWorld } from './affine';
import type { Geometry, Shape3, Vector3, Volume, VoxelArray } from './volume';

/**
 * What a grid says about a patient: voxel sizes, directions, orientation code; and the lossless way from any axis order to
 * RAS and back.
 *
 * Sheared grids (gantry tilt) are accepted: spacing and directions are those of the columns, reordering and resampling hold
 * for them. Only what measures distances along the grid refuses them, by {@link requireRightAngles}.
 */

/** Millimetres that one index makes along i, j, k. */
export function spacingOf({ affine }: Pick<Geometry, 'affine'>): Vector3 {
  return [lengthOf(columnOf(affine, 0)), lengthOf(columnOf(affine, 1)), lengthOf(columnOf(affine, 2))];
}

/** Unit vectors, in RAS+ world axes, along which i, j and k grow. */
export function directionsOf({ affine }: Pick<Geometry, 'affine'>): readonly [Vector3, Vector3, Vector3] {
  const unit = (axis: number): Vector3 => {
    const column = columnOf(affine, axis);
    const length = lengthOf(column);
    return [column[0] / length, column[1] / length, column[2] / length];
  };
  return [unit(0), unit(1), unit(2)];
}

/** World position of the centre of voxel (0, 0, 0), RAS+ mm. */
export function originOf({ affine }: Pick<Geometry, 'affine'>): Vector3 {
  return columnOf(affine, 3);
}

/** @throws ClaraError invalid-input when the axes are not at right angles */
export function requireRightAngles(geometry: Geometry, purpose: string): void {
  if (!hasRightAngles(geometry.affine)) {
    throw new ClaraError(
      'invalid-input',
      `${purpose} needs a grid with right angles, but this one is sheared: resample it to an upright grid first`,
    );
  }
}

/**
 * Whether two grids are the same: equal shapes, and no voxel centre farther apart than `toleranceMm`. The default forgives
 * what single precision does to a header.
 */
export function geometriesAgree(a: Geometry, b: Pick<Geometry, 'shape' | 'affine'>, toleranceMm = 1e-2): boolean {
  if (!a.shape.every((size, axis) => size === b.shape[axis])) return false;
  return corners(a.shape).every((corner) => {
    const p = toWorld(a.affine, corner);
    const q = toWorld(b.affine, corner);
    return lengthOf([p[0] - q[0], p[1] - q[1], p[2] - q[2]]) <= toleranceMm;
  });
}

/** Affine maps differ most at a corner, so corners stand for all voxels. */
function corners([ni, nj, nk]: Shape3): Vector3[] {
  const ends = (size: number): number[] => [0, size - 1];
  return ends(ni).flatMap((i) => ends(nj).flatMap((j) => ends(nk).map((k): Vector3 => [i, j, k])));
}

/**
 * The direction in which each axis mostly grows: one letter of R/L, A/P, S/I for i, j, k; "RAS" is the world's own order.
 * As in DICOM and ITK, an oblique axis takes the nearest letter.
 */
export type OrientationCode = string;

const LETTERS = ['RL', 'AP', 'SI'] as const;

export function orientationOf(geometry: Pick<Geometry, 'affine'>): OrientationCode {
  return worldAxesOf(geometry)
    .map(({ axis, sign }) => LETTERS[axis][sign > 0 ? 0 : 1])
    .join('');
}

interface WorldAxis {
  /** 0, 1, 2 for right-left, front-back, head-feet. */
  readonly axis: number;
  readonly sign: 1 | -1;
}

const PERMUTATIONS: readonly Vector3[] = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];

/** For each of i, j, k its world axis: of the six assignments the one whose cosines have the largest product. */
function worldAxesOf(geometry: Pick<Geometry, 'affine'>): WorldAxis[] {
  const directions = directionsOf(geometry);
  const agreement = (permutation: Vector3): number =>
    permutation.reduce((product, axis, index) => product * Math.abs(directions[index][axis]), 1);
  const best = PERMUTATIONS.reduce((a, b) => (agreement(b) > agreement(a) ? b : a));
  return best.map((axis, index) => ({ axis, sign: directions[index][axis] < 0 ? -1 : 1 }));
}

function parseOrientation(code: OrientationCode): WorldAxis[] {
  const axes = [...code.toUpperCase()].map((letter): WorldAxis => {
    const axis = LETTERS.findIndex((pair) => pair.includes(letter));
    return { axis, sign: axis >= 0 && LETTERS[axis][0] === letter ? 1 : -1 };
  });
  if (axes.length !== 3 || new Set(axes.map(({ axis }) => axis)).size !== 3 || axes.some(({ axis }) => axis < 0)) {
    throw new ClaraError(
      'invalid-input',
      `"${code}" is no orientation: name three directions, one each of R/L, A/P and S/I, such as RAS or LPS`,
    );
  }
  return axes;
}

/**
 * The same voxels in the order of `code`, axes exchanged and reversed, nothing interpolated. Returns `volume` itself where
 * nothing changes.
 *
 * @throws ClaraError invalid-input for a code that is none
 */
export function reorient<Voxels extends VoxelArray>(volume: Volume<Voxels>, code: OrientationCode): Volume<Voxels> {
  const from = worldAxesOf(volume.geometry);
  const moves = parseOrientation(code).map(({ axis, sign }) => {
    const source = from.findIndex((candidate) => candidate.axis === axis);
    return { source, reversed: from[source].sign !== sign };
  });
  if (moves.every(({ source, reversed }, target) => source === target && !reversed)) return volume;
  const { shape, affine } = volume.geometry;
  const newShape = moves.map(({ source }) => shape[source]) as unknown as Shape3;
  const columns = moves.map(({ source, reversed }) => {
    const column = columnOf(affine, source);
    return reversed ? (column.map((value) => -value) as unknown as Vector3) : column;
  }) as unknown as [Vector3, Vector3, Vector3];
  const corner: [number, number, number] = [0, 0, 0];
  for (const { source, reversed } of moves) corner[source] = reversed ? shape[source] - 1 : 0;
  const geometry: Geometry = { shape: newShape, affine: affineOf(columns, toWorld(affine, corner)) };
  const strides = [1, shape[0], shape[0] * shape[1]];
  const steps = moves.map(({ source, reversed }) => (reversed ? -strides[source] : strides[source]));
  const start = corner[0] + strides[1] * corner[1] + strides[2] * corner[2];
  return { geometry, data: gather(volume.data, newShape, start, steps) };
}

/** The volume with RAS+ axes. */
export function toCanonical<Voxels extends VoxelArray>(volume: Volume<Voxels>): Volume<Voxels> {
  return reorient(volume, 'RAS');
}

/**
 * The way back from {@link toCanonical}: `volume` in the axis order of `original`, with exactly its affine.
 *
 * @throws ClaraError invalid-input when the volume does not lie on that grid
 */
export function restoreOrientation<Voxels extends VoxelArray>(
  volume: Volume<Voxels>,
  original: Geometry,
): Volume<Voxels> {
  const { geometry, data } = reorient(volume, orientationOf(original));
  if (!geometriesAgree(geometry, original)) {
    throw new ClaraError(
      'invalid-input',
      `a volume of ${volume.geometry.shape.join(' x ')} does not lie on the grid of ${original.shape.join(' x ')} voxels ` +
        'that it is to go back to: resample it to that grid first',
    );
  }
  return { geometry: original, data };
}

function gather<Voxels extends VoxelArray>(
  source: Voxels,
  [ni, nj, nk]: Shape3,
  start: number,
  [di, dj, dk]: readonly number[],
): Voxels {
  const target = new (source.constructor as new (length: number) => Voxels)(source.length);
  let at = 0;
  for (let k = 0; k < nk; k += 1) {
    for (let j = 0; j < nj; j += 1) {
      let from = start + k * dk + j * dj;
      for (let i = 0; i < ni; i += 1, at += 1, from += di) target[at] = source[from];
    }
  }
  return target;
}

/**
 * A grid over the same field of view with other voxel sizes: same directions, same centre, and along each axis as many voxels
 * as come nearest to the old extent (at least one). Extents are measured from voxel edge to voxel edge.
 *
 * @throws ClaraError invalid-input when a spacing is not a positive number
 */
export function gridWithSpacing(geometry: Geometry, spacing: Vector3): Geometry {
  if (!spacing.every((step) => Number.isFinite(step) && step > 0)) {
    throw new ClaraError('invalid-input', `the spacing [${spacing.join(', ')}] cannot be used: give three positive mm`);
  }
  const old = spacingOf(geometry);
  const { shape, affine } = geometry;
  const newShape = shape.map((size, axis) => Math.max(1, Math.round((size * old[axis]) / spacing[axis])));
  const ratios = spacing.map((step, axis) => step / old[axis]);
  const first = newShape.map((size, axis) => (shape[axis] - 1) / 2 - (ratios[axis] * (size - 1)) / 2);
  const column = (axis: number): Vector3 => columnOf(affine, axis).map((v) => v * ratios[axis]) as unknown as Vector3;
  return {
    shape: newShape as unknown as Shape3,
    affine: affineOf([column(0), column(1), column(2)], toWorld(affine, first as unknown as Vector3)),
  };
}

export { invert as invertAffine, toWorld } from './affine';
