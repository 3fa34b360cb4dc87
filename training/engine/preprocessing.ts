import { gridWithSpacing, toCanonical } from '../../imaging/geometry';
import { windowed } from '../../imaging/intensity';
import { resampleTo } from '../../imaging/resample';
import type { Geometry, Mask, Volume } from '../../imaging/volume';
import type { ModelCard } from './model-card';
import type { NetworkInput } from './sliding-window';

/** What a scan must become before the network sees it. Part of the model: the card says the numbers. */
export type Preprocessing = Pick<ModelCard, 'spacing' | 'window'>;

/** The window's [0, 1] is shifted and stretched so that soft tissue lies around 0 with a deviation of about 1. */
const CENTRE = 0.4;
const STRETCH = 3;

/** What air becomes: the value of everything outside of a scan. */
export const OUTSIDE = networkValue(0);

/** A windowed intensity, 0..1, as the network sees it. */
export function networkValue(intensity: number): number {
  return (intensity - CENTRE) * STRETCH;
}

export interface PreparedScan {
  /** RAS+ axes, the model's spacing. */
  readonly geometry: Geometry;
  /** Windowed intensities, 0..1. */
  readonly intensities: Float32Array;
}

/** Brings a scan of any orientation and spacing to the working grid and windows it. */
export function prepareScan(scan: Volume, { spacing, window }: Preprocessing): PreparedScan {
  const upright = toCanonical(scan);
  const geometry = gridWithSpacing(upright.geometry, spacing);
  const resampled = resampleTo(upright, geometry);
  return { geometry, intensities: windowed(resampled.data, window) };
}

/**
 * The share of each voxel of the working grid that the organ fills, 0..1: its boundary keeps a precision finer than the grid.
 *
 * @param organ 1 in the organ, 0 elsewhere
 */
export function prepareTarget(organ: Mask, geometry: Geometry): Float32Array {
  return resampleTo(organ, geometry, { outside: 0 }).data;
}

export function networkInput({ geometry, intensities }: PreparedScan): NetworkInput {
  return { shape: geometry.shape, values: intensities.map(networkValue) };
}
