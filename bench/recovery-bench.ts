import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { BenchFederation } from './bench-federation';
import type { FederationCase } from './federation-bench';
import { rounded } from './figures';
import { loadAverage } from './process-usage';

export interface RecoveryResult extends FederationCase {
  readonly case: 'recovery';
  /** From the start of the new process until it serves. */
  readonly secondsToServing: number;
  /** From there until the round that was cut is closed. */
  readonly secondsToClosedRound: number;
  /** Of the round's updates: durable when the coordinator died, sent after that, and both less the updates' size. */
  readonly durableMiB: number;
  readonly sentAfterMiB: number;
  readonly sentAgainMiB: number;
  readonly loadBefore: number;
}

/** kill -9 of the coordinator when half of a round's updates have arrived. */
export async function benchRecovery(wanted: FederationCase): Promise<RecoveryResult> {
  const loadBefore = loadAverage();
  const federation = await BenchFederation.start(wanted);
  try {
    const run = await federation.submit(wanted);
    const roundBytes = wanted.sites * wanted.mib * 2 ** 20;
    // The first weights were an upload too.
    await federation.watch(run, ({ sites }) => {
      const arrived = sites.reduce((sum, site) => sum + Number(site.bytesFromSite), 0);
      return arrived - wanted.mib * 2 ** 20 > roundBytes / 2;
    });
    await federation.killCoordinator();
    const durable = await durableBytes(federation.storeFolder, run);
    const killed = performance.now();
    await federation.startCoordinator();
    const serving = performance.now();
    const view = await federation.watch(run, ({ rounds }) => rounds.length > 0);
    const closed = performance.now();
    const sent = Number(view.rounds[0]!.bytesFromSites);
    const mib = (bytes: number) => rounded(bytes / 2 ** 20);
    return {
      case: 'recovery',
      ...wanted,
      secondsToServing: rounded((serving - killed) / 1000, 2),
      secondsToClosedRound: rounded((closed - serving) / 1000, 2),
      durableMiB: mib(durable),
      sentAfterMiB: mib(sent),
      sentAgainMiB: mib(durable + sent - roundBytes),
      loadBefore,
    };
  } finally {
    await federation.stop();
  }
}

/** What of the first round's updates a crash leaves: whole objects, and the recorded beginnings of others. */
async function durableBytes(store: string, run: string): Promise<number> {
  let bytes = 0;
  const updates = path.join(store, 'runs', run, 'rounds', '0001', 'updates');
  for (const name of await readdir(updates).catch(() => [])) bytes += (await stat(path.join(updates, name))).size;
  const uploads = path.join(store, '.store', 'uploads');
  for (const name of await readdir(uploads).catch(() => [])) {
    if (!name.endsWith('.json')) continue;
    const record: { key: string; durable: number } = JSON.parse(await readFile(path.join(uploads, name), 'utf8'));
    if (record.key.startsWith(`runs/${run}/rounds/0001/updates/`)) bytes += record.durable;
  }
  return bytes;
}
