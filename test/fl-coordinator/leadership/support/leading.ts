import { checkPlan } from '../../../../federation/plan';
import type { Lead } from '../../../../fl-coordinator/leadership/leadership';
import { RunRegister } from '../../../../fl-coordinator/runs/run-register';
import { Traffic } from '../../../../fl-coordinator/runs/traffic';
import type { ObjectStore } from '../../../../fl-coordinator/storage/object-store';

export const LEASE_MILLIS = 1000;

export const SUBMISSION = {
  plan: checkPlan({ name: 'plan', trainer: { name: 'shift' }, rounds: 1, deadline: '1h' }),
  operator: 'admin',
  submitToken: 'token-of-the-test',
  enrolledSites: ['a', 'b'],
};

/** All runs of the store, taken over by this leader. */
export async function leadRuns(store: ObjectStore, { epoch, afterOrderlyEnd }: Lead): Promise<RunRegister> {
  const runs = new RunRegister({
    store,
    traffic: new Traffic(),
    term: { epoch, address: `epoch-${epoch}` },
    afterOrderlyEnd,
    makeModel: () => new Promise(() => {}),
    onChange: () => undefined,
    onFatal: () => undefined,
  });
  await runs.load();
  return runs;
}
