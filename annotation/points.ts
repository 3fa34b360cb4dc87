import { ClaraError } from '../base/errors';
import type { Geometry, Shape3 } from '../imaging/volume';

/**
 * Points of a person, as indices of voxels. An index that equals the size of its axis means the last voxel: AIAA's python client
 * crops a volume without its last slice but keeps a point on it.
 *
 * @throws ClaraError invalid-input for an index that is no whole number, or outside the volume
 */
export function voxelsIn(points: readonly Shape3[], { shape }: Geometry, what: string): Shape3[] {
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
