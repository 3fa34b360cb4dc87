import type { PlanInput } from '../../federation/plan';
import type { Shape3 } from '../../imaging/volume';
import type { DemoSettings } from './demo-options';

/** Size of the phantoms: small enough for three sites to train at once on two cores. */
export const DEMO_PHANTOM: { readonly cases: number; readonly shape: Shape3 } = { cases: 8, shape: [64, 64, 48] };

export const MODEL_NAME = 'clara_ct_seg_spleen';

/** The plan that the demonstration submits: what an investigator would write. */
export function demoPlan({ rounds, sites, seed }: DemoSettings): PlanInput {
  return {
    name: 'spleen',
    trainer: { name: 'reference', parameters: {} },
    cohort: [...sites],
    rounds,
    deadline: '30m',
    strategy: 'fedavg',
    evaluation: { everyRound: true, siteModels: true },
    seed,
  };
}

export const MODEL_DESCRIPTION = 'Spleen in abdominal CT, trained by federated averaging with the reference engine';
