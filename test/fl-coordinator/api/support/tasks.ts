import { checkPlan, type Plan } from '../../../../federation/plan';
import type { Stage } from '../../../../fl-coordinator/runs/stage';
import type { SiteTask } from '../../../../fl-coordinator/runs/tasks';

export const PLAN: Plan = checkPlan({ name: 'plan', trainer: { name: 'shift' }, rounds: 2 });

/** A training task of round 1, as a run would ask for. */
export function siteTask(run: string, site: string, stage: Stage = { kind: 'train', round: 1 }): SiteTask {
  return {
    id: `${run}/${stage.kind}/${stage.round}/${site}`,
    run,
    site,
    stage,
    kind: 'train',
    track: 'federated',
    rounds: 2,
    seed: 1,
    deadline: '2026-01-01T00:00:00.000Z',
    plan: PLAN,
    models: [],
  };
}
