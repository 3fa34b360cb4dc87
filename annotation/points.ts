import { ClaraError } from '../base/errors';
import { spacingOf } from '../imaging/geometry';
import type { Geometry, Shape3 } from '../imaging/volume';

/** Voxels that are smaller, mm, are of no patient; and what is counted in mm here would span more of them than there are. */
const LEAST_EDGE_MM = 0.02;

/**
 * Points of a person, as indices of voxels. An index that equals the size of its axis means the last voxel: AIAA's python client
 * crops a volume without its last slice but keeps a point on it.
 *
 * @throws ClaraError invalid-input for an index that is no whole number, or outside the volume; for a volume whose voxels are too small
 */
export function voxelsIn(points: readonly Shape3[], geometry: Geometry, what: string): Shape3[] {
  const { shape } = geometry;
  const spacing = spacingOf(geometry);
  if (Math.min(...spacing) < LEAST_EDGE_MM) {
    throw new ClaraError(
      'invalid-input',
      `The volume has voxels of ${spacing.map((edge) => Number(edge.toPrecision(3))).join(' x ')} mm; points and clicks are ` +
        `answered in scans of patients, with voxels of ${LEAST_EDGE_MM} mm or more: check the unit of the file (xyzt_units of NIfTI).`,
    );
  }
  return points.map((point) => {
    const whole = point.length === 3 && point.every((index) => Number.isInteger(index));
    if (!whole || point.some((index, axis) => index < 0 || index > shape[axis])) {
      throw new ClaraError(
        'invalid-input',
        `The ${what} [${point.join(', ')}] lies outside the volume of ${shape.join(' x ')} voxels; ` +
          `give image indices (i, j, k) from [0, 0, 0] to [${shape.map((size) => size - 1).join(', ')}].`,
      );
    }
    const [i, j, k] = point.map((index, axis) => Math.min(index, shape[axis] - 1));
    return [i, j, k];
  });
}
