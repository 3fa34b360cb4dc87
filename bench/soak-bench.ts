import { BenchFederation } from './bench-federation';
import type { FederationCase } from './federation-bench';
import { mean, quantile, rounded } from './figures';
import { loadAverage, usageOf } from './process-usage';

export interface SoakResult extends FederationCase {
  readonly case: 'soak';
  readonly secondsPerRound: { readonly median: number; readonly p95: number };
  /** Mean resident memory of the coordinator over the second tenth of the rounds, and over the last. */
  readonly rssSecondTenthMiB: number;
  readonly rssLastTenthMiB: number;
  /** Last tenth by second tenth: 1 when nothing leaks. */
  readonly rssGrowth: number;
  readonly loadBefore: number;
}

/** Many rounds of a small model: does the coordinator's memory stay where it is? */
export async function benchSoak(wanted: FederationCase): Promise<SoakResult> {
  const loadBefore = loadAverage();
  const federation = await BenchFederation.start(wanted);
  try {
    const samples: { readonly round: number; readonly rssMiB: number }[] = [];
    const view = await federation.watch(await federation.submit(wanted), ({ rounds }) => {
      samples.push({ round: rounds.length, rssMiB: usageOf(federation.coordinatorPid).rssMiB });
      return false;
    });
    const tenth = (index: number): number => {
      const [from, to] = [(index * wanted.rounds) / 10, ((index + 1) * wanted.rounds) / 10];
      return mean(samples.filter(({ round }) => round >= from && round <= to).map(({ rssMiB }) => rssMiB));
    };
    const seconds = view.rounds.map((round) => round.seconds);
    const [second, last] = [tenth(1), tenth(9)];
    return {
      case: 'soak',
      ...wanted,
      secondsPerRound: { median: quantile(seconds, 0.5), p95: quantile(seconds, 0.95) },
      rssSecondTenthMiB: rounded(second),
      rssLastTenthMiB: rounded(last),
      rssGrowth: rounded(last / second, 3),
      loadBefore,
    };
  } finally {
    await federation.stop();
  }
}
