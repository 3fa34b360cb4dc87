import { BenchFederation, type BenchFederationOptions } from './bench-federation';
import { diskFsyncRate } from './disk-rate';
import { quantile, rounded } from './figures';
import { leastCpuSecondsPerGiB } from './least-cost';
import { newMemoryCpuSecondsPerGiB } from './new-memory';
import { loadAverage, usageOf } from './process-usage';
import { medianPair, type TlsPair, tlsPair } from './tls-pair';

export interface FederationCase extends BenchFederationOptions {
  readonly mib: number;
  readonly rounds: number;
  /** By name, with its defaults. */
  readonly strategy: string;
}

export interface FederationResult extends FederationCase {
  readonly case: 'federation';
  readonly secondsPerRound: { readonly median: number; readonly p95: number };
  /** Model bytes down and up of a round, divided by its median time. */
  readonly mibPerSecond: number;
  readonly tlsPairMiBPerSecond: number;
  readonly ofTlsPair: number;
  readonly diskFsyncMiBPerSecond: number;
  readonly coordinatorPeakRssMiB: number;
  readonly coordinatorCpuSecondsPerGiB: number;
  /** Both ends of the TLS pair together, for comparison. */
  readonly tlsPairCpuSecondsPerGiB: number;
  /** What a coordinator spends at least: see `leastCpuSecondsPerGiB`. */
  readonly leastCpuSecondsPerGiB: number;
  /** What the host adds to each GiB that is written anew, see `newMemoryCpuSecondsPerGiB`. */
  readonly newMemoryCpuSecondsPerGiB: number;
  readonly loadBefore: number;
}

/** Rounds of a federation of real processes on this machine, clients included, beside what machine and disk give at best. */
export async function benchFederation(wanted: FederationCase): Promise<FederationResult> {
  const loadBefore = loadAverage();
  const federation = await BenchFederation.start(wanted);
  try {
    const pairs: TlsPair[] = [];
    for (let i = 0; i < 3; i++) pairs.push(await tlsPair());
    const diskFsyncMiBPerSecond = await diskFsyncRate(federation.folder);
    const before = usageOf(federation.coordinatorPid);
    const view = await federation.watch(await federation.submit(wanted));
    const after = usageOf(federation.coordinatorPid);
    for (let i = 0; i < 3; i++) pairs.push(await tlsPair());
    const pair = medianPair(pairs);
    const least = await leastCpuSecondsPerGiB(federation.folder, pair);
    const newMemory = await newMemoryCpuSecondsPerGiB(federation.folder);

    const seconds = view.rounds.map((round) => round.seconds);
    const median = quantile(seconds, 0.5);
    const mibARound = 2 * wanted.sites * wanted.mib;
    const mibPerSecond = mibARound / median;
    const gibMoved = (mibARound * wanted.rounds) / 1024;
    return {
      case: 'federation',
      ...wanted,
      secondsPerRound: { median, p95: quantile(seconds, 0.95) },
      mibPerSecond: rounded(mibPerSecond),
      tlsPairMiBPerSecond: rounded(pair.mibPerSecond),
      ofTlsPair: rounded(mibPerSecond / pair.mibPerSecond, 3),
      diskFsyncMiBPerSecond: rounded(diskFsyncMiBPerSecond),
      coordinatorPeakRssMiB: rounded(after.peakRssMiB),
      coordinatorCpuSecondsPerGiB: rounded((after.cpuSeconds - before.cpuSeconds) / gibMoved, 2),
      tlsPairCpuSecondsPerGiB: rounded(pair.cpuSecondsPerGiB, 2),
      leastCpuSecondsPerGiB: rounded(least, 2),
      newMemoryCpuSecondsPerGiB: rounded(newMemory, 2),
      loadBefore,
    };
  } finally {
    await federation.stop();
  }
}
