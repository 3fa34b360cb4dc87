/**
 * What a model's configuration asks for, after its names and arguments have been understood: plain data, which `inference/pipeline`
 * carries out.
 */

export type Triple = readonly [number, number, number];

/** On the way to the network. */
export type PreStep =
  /** Axes exchanged and reversed until i, j, k grow along these directions, such as RAS. */
  | { readonly kind: 'orient'; readonly axcodes: string }
  /** Voxel sizes in mm along i, j, k; null keeps one. */
  | { readonly kind: 'space'; readonly pixdim: readonly [number | null, number | null, number | null] }
  /** From [aMin, aMax] to [bMin, bMax], or to [0, 1] where that is not said. */
  | {
      readonly kind: 'scale-range';
      readonly aMin: number;
      readonly aMax: number;
      readonly target: readonly [number, number] | null;
      readonly clip: boolean;
    }
  /** As `scale-range`, from two percentiles of the volume's own values. */
  | {
      readonly kind: 'scale-percentiles';
      readonly lower: number;
      readonly upper: number;
      readonly target: readonly [number, number] | null;
      readonly clip: boolean;
    }
  /** From the volume's own extremes to [min, max]. */
  | { readonly kind: 'scale-extremes'; readonly min: number; readonly max: number }
  /** Times 1 + factor. */
  | { readonly kind: 'scale-factor'; readonly factor: number }
  /** Less a mean, divided by a deviation; its own where null. `nonzero`: zeros stay, and do not count. */
  | {
      readonly kind: 'normalise';
      readonly subtrahend: number | null;
      readonly divisor: number | null;
      readonly nonzero: boolean;
    }
  /** To the box around all that is above zero, widened by a margin of voxels. */
  | { readonly kind: 'crop-foreground'; readonly margin: Triple };

/** On the way from the network to a mask. */
export type PostStep =
  | { readonly kind: 'activate'; readonly by: 'sigmoid' | 'softmax' }
  | { readonly kind: 'argmax' }
  | { readonly kind: 'threshold'; readonly at: number }
  /** Labels of which the largest component alone stays; null: every label. Neighbours share a face (1), edge (2) or corner (3). */
  | {
      readonly kind: 'largest-component';
      readonly labels: readonly number[] | null;
      readonly independent: boolean;
      readonly connectivity: 1 | 2 | 3;
    }
  /** Labels other than these become background. */
  | { readonly kind: 'keep-labels'; readonly labels: readonly number[] }
  /** To the grid of the volume that was sent. */
  | { readonly kind: 'restore'; readonly method: 'nearest' | 'linear' };

/** What clients are told beside the mask, and under which name. */
export interface Told {
  readonly points?: string;
  readonly boundingBox?: string;
}

export interface SlidingWindow {
  /** Voxels along i, j, k; 0 or less: the whole volume along that axis. */
  readonly roi: Triple;
  /** Share of a window that neighbours have in common, 0 up to below 1. */
  readonly overlap: number;
  readonly blending: 'gaussian' | 'constant';
}

export interface Pipeline {
  readonly pre: readonly PreStep[];
  /** Without one the network sees the whole volume at once. */
  readonly window: SlidingWindow | null;
  /** Share of a window that neighbours have in common, also for models that know the size of their windows themselves. */
  readonly overlap: number;
  readonly post: readonly PostStep[];
  readonly told: Told;
}
