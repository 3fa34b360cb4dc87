import type { Shape3, Vector3 } from './volume';

/**
 * Exact squared Euclidean distance, mm^2, of every voxel to the nearest feature voxel, by lower envelopes of parabolas along
 * one axis after the other (Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", Theory of Computing 8,
 * 2012). Linear in the number of voxels. Infinity everywhere when there is no feature.
 *
 * @param features not 0 marks a feature voxel; i runs fastest
 */
export function squaredDistances(features: ArrayLike<number>, shape: Shape3, spacing: Vector3): Float64Array {
  const distances = new Float64Array(shape[0] * shape[1] * shape[2]);
  for (let at = 0; at < distances.length; at += 1) distances[at] = features[at] === 0 ? Number.POSITIVE_INFINITY : 0;
  const strides = [1, shape[0], shape[0] * shape[1]];
  for (const axis of [0, 1, 2]) {
    const envelope = new Envelope(shape[axis], spacing[axis]);
    const [first, second] = [0, 1, 2].filter((other) => other !== axis);
    for (let b = 0; b < shape[second]; b += 1) {
      for (let a = 0; a < shape[first]; a += 1) {
        envelope.transform(distances, a * strides[first] + b * strides[second], strides[axis]);
      }
    }
  }
  return distances;
}

/** The one-dimensional transform, with its scratch space. */
class Envelope {
  private readonly line: Float64Array;
  /** Positions of the parabolas in the envelope, and where each begins to be the lowest. */
  private readonly vertex: Int32Array;
  private readonly from: Float64Array;

  constructor(
    private readonly size: number,
    private readonly step: number,
  ) {
    this.line = new Float64Array(size);
    this.vertex = new Int32Array(size);
    this.from = new Float64Array(size + 1);
  }

  transform(distances: Float64Array, start: number, stride: number): void {
    const { line, vertex, from, size, step } = this;
    let last = -1;
    for (let q = 0; q < size; q += 1) {
      line[q] = distances[start + q * stride];
      if (line[q] === Number.POSITIVE_INFINITY) continue;
      let crossing = Number.NEGATIVE_INFINITY;
      while (last >= 0) {
        crossing = this.crossing(vertex[last], q);
        if (crossing > from[last]) break;
        last -= 1;
        crossing = Number.NEGATIVE_INFINITY;
      }
      last += 1;
      vertex[last] = q;
      from[last] = crossing;
    }
    if (last < 0) return;
    let current = 0;
    for (let q = 0; q < size; q += 1) {
      while (current < last && from[current + 1] < q) current += 1;
      const offset = (q - vertex[current]) * step;
      distances[start + q * stride] = offset * offset + line[vertex[current]];
    }
  }

  /** Index at which the parabola over `right` becomes lower than the one over `left`. */
  private crossing(left: number, right: number): number {
    const { line, step } = this;
    return (line[right] - line[left]) / (2 * step * step * (right - left)) + (left + right) / 2;
  }
}
