import { once } from 'node:events';
import { ClaraError } from '../../../../base/errors';
import { fencedStore } from '../../../../fl-coordinator/leadership/fenced-store';
import { takeLead } from '../../../../fl-coordinator/leadership/leadership';
import { openDirectoryStore } from '../../../../fl-coordinator/storage/directory-store';
import { newOwnerCard } from '../../../../fl-coordinator/storage/store-owner';
import { SiteRegister } from '../../../../fl-coordinator/trust/site-register';
import { LEASE_MILLIS, leadRuns, SUBMISSION } from './leading';

/** A leader as a process of its own, which writes one event after the other to every journal that there is. */
async function main(): Promise<void> {
  const store = await openDirectoryStore(process.argv[2]!);
  const self = { holder: newOwnerCard(), address: 'old:1', durationMillis: LEASE_MILLIS };
  const lead = await takeLead({ store, self }, new AbortController().signal);
  const fenced = fencedStore(store, () => lead.mustBeHeld());
  try {
    const register = await SiteRegister.open(fenced, undefined, { epoch: lead.epoch });
    const runs = await leadRuns(fenced, lead);
    process.stdout.write('leading\n');
    await once(process.stdin, 'data');
    await register.invited('a', '0123456789abcdef', new Date(Date.now() + 1e6));
    const { run } = await runs.submit(SUBMISSION);
    for (const site of ['a', 'b']) await runs.get(run).dispatch({ kind: 'approve', site });
    process.stdout.write('all is written\n');
  } catch (error) {
    process.stdout.write(`${ClaraError.from(error).code}\n`);
  }
  // Whatever it would still write by itself, it writes now.
  await new Promise((resolve) => setTimeout(resolve, 300));
  process.exit(0);
}

void main();
