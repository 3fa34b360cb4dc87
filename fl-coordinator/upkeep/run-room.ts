import { ClaraError } from '../../base/errors';
import { isAsItIs } from '../../federation/encodings/encoding';
import type { Plan } from '../../federation/plan';
import { momentCount } from '../aggregation/moment-files';
import { bufferingOf } from '../runs/going';
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
export function bytesOfRun(size: RunSize): number {
  const { rounds, strategy } = size.plan;
  const models = rounds + 1;
  // The round that is being aggregated reads what the server kept of the one before.
  const kept = momentCount(strategy.serverOptimiser) + (hasControls(size.plan) ? 1 : 0);
  // The model that sites have, the one that comes next, and those that late sites still train from; each as it is sent and decoded.
  const had = Math.min(models, 2 + (bufferingOf(size.plan)?.maxStaleness ?? 0));
  const encoded = isAsItIs(size.plan.wire.down) ? 0 : 2 * (size.keep === 'all' ? models : had);
  return (
    size.modelBytes * (models + encoded + kept * (size.keep === 'all' ? rounds : Math.min(2, rounds)) + updatesOf(size))
  );
}

/** In models. */
function updatesOf({ keep, sites, plan }: RunSize): number {
  const { rounds, evaluation } = plan;
  const { siteModels, crossSite } = evaluation;
  // An update of a federated round may carry a control variate of the same size, or lie beside its encoded form.
  const forms = hasControls(plan) || !isAsItIs(plan.wire.up) ? 2 : 1;
  const ofRound = forms * (sites + bufferedOf(plan, sites));
  const ofTwoRounds = ofRound * Math.min(2, rounds);
  // A site that trains alone goes on from its last update, which stays until the next one is there.
  const alone = siteModels ? sites * Math.min(2, rounds) : 0;
  switch (keep) {
    case 'none':
      return Math.max(hasControls(plan) ? ofTwoRounds : ofRound, (crossSite ? ofRound : 0) + alone);
    case 'last':
      // The first weights count as the update of a round.
      return Math.max(1 + ofRound, ofTwoRounds, siteModels ? ofRound + alone : 0);
    case 'all':
      return 1 + ofRound * rounds + (siteModels ? sites * rounds : 0);
  }
}

/** The most that a round combines, or has waiting, beside one update a site. */
function bufferedOf({ mode, lateUpdates, buffer }: Plan, sites: number): number {
  if (mode === 'synchronous' && lateUpdates === 'drop') return 0;
  return (buffer?.size ?? 0) + sites;
}

function hasControls({ strategy }: Plan): boolean {
  return strategy.clientRule.kind === 'scaffold';
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
