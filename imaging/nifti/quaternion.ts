import { affineOf, columnOf, determinantOf, hasRightAngles, lengthOf } from '../affine';
import type { Affine, Vector3 } from '../volume';

/**
 * The qform of NIfTI-1 ("method 2" in nifti1.h, section on the quaternion representation of the rotation matrix): a unit
 * quaternion (a, b, c, d) of which b, c, d are stored, voxel sizes, an offset, and `qfac`, the sign of the third axis.
 */
export interface Quaternion {
  readonly b: number;
  readonly c: number;
  readonly d: number;
  /** +1, or -1 when the axes are left-handed. */
  readonly qfac: 1 | -1;
}

export function affineOfQuaternion({ b, c, d, qfac }: Quaternion, spacing: Vector3, offset: Vector3): Affine {
  const squares = b * b + c * c + d * d;
  // b, c, d are stored in single precision: for half turns their squares may add up to slightly more than 1.
  const a = Math.sqrt(Math.max(0, 1 - squares));
  const unit = a === 0 ? 1 / Math.sqrt(squares) : 1;
  const [x, y, z] = [b * unit, c * unit, d * unit];
  const [si, sj, sk] = [spacing[0], spacing[1], spacing[2] * qfac];
  return affineOf(
    [
      [(a * a + x * x - y * y - z * z) * si, (2 * x * y + 2 * a * z) * si, (2 * x * z - 2 * a * y) * si],
      [(2 * x * y - 2 * a * z) * sj, (a * a + y * y - x * x - z * z) * sj, (2 * y * z + 2 * a * x) * sj],
      [(2 * x * z + 2 * a * y) * sk, (2 * y * z - 2 * a * x) * sk, (a * a + z * z - x * x - y * y) * sk],
    ],
    offset,
  );
}

/** The quaternion of an affine with right angles, or undefined where there is a shear. */
export function quaternionOf(affine: Affine): Quaternion | undefined {
  if (!hasRightAngles(affine)) return undefined;
  const qfac = determinantOf(affine) < 0 ? -1 : 1;
  const axis = (index: number): Vector3 => {
    const column = columnOf(affine, index);
    const length = lengthOf(column) * (index === 2 ? qfac : 1);
    return [column[0] / length, column[1] / length, column[2] / length];
  };
  const [r0, r1, r2] = [axis(0), axis(1), axis(2)];
  // Shepperd (1978): take the largest of the four squares first, so that no small number is divided by.
  const squares = [
    1 + r0[0] + r1[1] + r2[2],
    1 + r0[0] - r1[1] - r2[2],
    1 - r0[0] + r1[1] - r2[2],
    1 - r0[0] - r1[1] + r2[2],
  ];
  const largest = squares.indexOf(Math.max(...squares));
  const twice = Math.sqrt(squares[largest]);
  const [ax, ay, az] = [r1[2] - r2[1], r2[0] - r0[2], r0[1] - r1[0]];
  const [xy, xz, yz] = [r0[1] + r1[0], r0[2] + r2[0], r1[2] + r2[1]];
  const quadruple = {
    0: [squares[0], ax, ay, az],
    1: [ax, squares[1], xy, xz],
    2: [ay, xy, squares[2], yz],
    3: [az, xz, yz, squares[3]],
  }[largest as 0 | 1 | 2 | 3];
  const half = (value: number): number => value / (2 * twice);
  const sign = quadruple[0] < 0 ? -1 : 1;
  return { b: half(quadruple[1]) * sign, c: half(quadruple[2]) * sign, d: half(quadruple[3]) * sign, qfac };
}
