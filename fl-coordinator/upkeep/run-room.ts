import { ClaraError } from '../../base/errors';
import type { Plan } from '../../federation/plan';
import { momentCount } from '../aggregation/moment-files';
import type { ObjectStore } from '../storage/object-store';
import type { KeepUpdates } from './retention';

export interface RunSize {
  readonly plan: Plan;
  readonly sites: number;
  /** Of one model; updates and moments have about the same. */
  readonly modelBytes: number;
  readonly keep: KeepUpdates;
}

/** The most that a run will hold in the store at once: models of all rounds, and what the retention rule lets lie. Bytes. */
export function bytesOfRun({ plan, sites, modelBytes, keep }: RunSize): number {
  const { rounds, evaluation, strategy } = plan;
  const models = rounds + 1;
  // The round that is being aggregated reads the moments of the one before.
  const moments = momentCount(strategy.serverOptimiser) * (keep === 'all' ? rounds : Math.min(2, rounds));
  return modelBytes * (models + moments + updatesOf(keep, sites, rounds, evaluation));
}

function updatesOf(
  keep: KeepUpdates,
  sites: number,
  rounds: number,
  { siteModels, crossSite }: Plan['evaluation'],
): number {
  // A site that trains alone goes on from its last update, which stays until the next one is there.
  const alone = siteModels ? Math.min(2, rounds) : 0;
  switch (keep) {
    case 'none':
      return sites * Math.max(1, (crossSite ? 1 : 0) + alone);
    case 'last':
      // The first weights count as the update of a round.
      return Math.max(1 + sites, sites * Math.min(2, rounds), siteModels ? sites * (1 + alone) : 0);
    case 'all':
      return 1 + sites * rounds * (siteModels ? 2 : 1);
  }
}

/** @throws ClaraError `out-of-space` when the store has no room for the run, with what it needs and what is free */
export async function checkRoom(store: ObjectStore, size: RunSize): Promise<void> {
  const needed = bytesOfRun(size);
  const free = await store.room();
  if (needed <= free) return;
  const { modelBytes, sites, plan } = size;
  throw new ClaraError(
    'out-of-space',
    `a model of ${modelBytes} bytes takes up to ${needed} bytes in ${plan.rounds} rounds with ${sites} sites, and the store has ${free} left; make room, or ask for fewer rounds`,
  );
}
