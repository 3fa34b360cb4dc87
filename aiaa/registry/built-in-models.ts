import type { Interaction } from '../inference/interaction';
import type { EngineKind } from '../inference/model-source';
import type { ModelObject } from './model-entry';

/** A model that every server has without a file. Its name cannot be published. */
export interface BuiltInEntry extends ModelObject {
  readonly engine: Extract<EngineKind, 'interactive'>;
  /** More that clients are shown. */
  readonly meta: Readonly<Record<string, unknown>>;
  /** What a person has to point at; in `flat` models within one slice. */
  readonly interactive: { readonly asks: Interaction['kind']; readonly flat: boolean };
}

const COMMON: Pick<BuiltInEntry, 'engine' | 'labels' | 'version'> = {
  engine: 'interactive',
  labels: ['organ'],
  version: '1',
};

export const BUILT_IN_MODELS: readonly BuiltInEntry[] = [
  {
    ...COMMON,
    name: 'annotation_ct_organ',
    type: 'annotation',
    description: 'An organ of a CT from six or more extreme points: a random walker with priors, no training',
    /** Slicer crops the volume with this margin, mm, and resamples it to this size. */
    meta: { padding: 20, roi: [128, 128, 128] },
    interactive: { asks: 'extreme-points', flat: false },
  },
  {
    ...COMMON,
    name: 'clara_deepgrow_ct_2d',
    type: 'deepgrow',
    description: 'An organ in one slice of a CT from clicks on it and beside it, no training',
    meta: { deepgrow: '2D' },
    interactive: { asks: 'clicks', flat: true },
  },
  {
    ...COMMON,
    name: 'clara_deepgrow_ct_3d',
    type: 'deepgrow',
    description: 'An organ of a CT from clicks on it and beside it, no training',
    meta: { deepgrow: '3D' },
    interactive: { asks: 'clicks', flat: false },
  },
];
