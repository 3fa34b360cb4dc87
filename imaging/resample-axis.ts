/** Where the samples of one axis come from when two grids have parallel axes. */
export interface AxisTaps {
  /** Source index below each target sample, and the one above it. */
  readonly lower: Int32Array;
  readonly upper: Int32Array;
  /** Share of the upper one, 0 to 1. */
  readonly weight: Float32Array;
  /** 1 where the sample lies in the source's box, which reaches half a voxel beyond the outermost centres. */
  readonly inside: Uint8Array;
}

/** Rounding of single-precision headers must not push the outermost samples out of the box. */
const BOX_TOLERANCE = 1e-3;

/** Linear interpolation at source positions `step * index + start`, with the outermost values repeated. */
export function linearTaps(sourceSize: number, targetSize: number, step: number, start: number): AxisTaps {
  const taps: AxisTaps = {
    lower: new Int32Array(targetSize),
    upper: new Int32Array(targetSize),
    weight: new Float32Array(targetSize),
    inside: new Uint8Array(targetSize),
  };
  for (let index = 0; index < targetSize; index += 1) {
    const position = step * index + start;
    const clamped = Math.min(sourceSize - 1, Math.max(0, position));
    const lower = Math.floor(clamped);
    taps.lower[index] = lower;
    taps.upper[index] = Math.min(sourceSize - 1, lower + 1);
    taps.weight[index] = clamped - lower;
    taps.inside[index] = isInBox(position, sourceSize) ? 1 : 0;
  }
  return taps;
}

/** The nearest source index of each target sample, or -1 outside the box. */
export function nearestIndex(sourceSize: number, targetSize: number, step: number, start: number): Int32Array {
  return Int32Array.from({ length: targetSize }, (_, index) => {
    const position = step * index + start;
    return isInBox(position, sourceSize) ? Math.round(Math.min(sourceSize - 1, Math.max(0, position))) : -1;
  });
}

/** Whether a fractional source index lies in the source's box along its axis. */
export function isInBox(position: number, size: number): boolean {
  return position >= -0.5 - BOX_TOLERANCE && position <= size - 0.5 + BOX_TOLERANCE;
}
