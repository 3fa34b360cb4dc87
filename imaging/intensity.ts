import { ClaraError } from '../base/errors';
import type { VoxelArray } from './volume';

/** A window on Hounsfield units: `low` and below is black (0), `high` and above is white (1). */
export interface HuWindow {
  readonly low: number;
  readonly high: number;
}

/** Soft tissue of the abdomen, as used for spleen segmentation. */
export const ABDOMEN_WINDOW: HuWindow = { low: -160, high: 240 };

/** Values of a window scaled linearly to [0, 1] and clamped; NaN, which float volumes use for "no data", becomes 0. */
export function windowed(data: VoxelArray, { low, high }: HuWindow = ABDOMEN_WINDOW): Float32Array {
  if (!(high > low)) {
    throw new ClaraError(
      'invalid-input',
      `the window from ${low} to ${high} HU is empty: its high end must be above its low`,
    );
  }
  const scale = 1 / (high - low);
  const values = new Float32Array(data.length);
  for (let at = 0; at < data.length; at += 1) {
    const value = (data[at] - low) * scale;
    values[at] = value > 0 ? Math.min(1, value) : 0;
  }
  return values;
}
