import type { RoundView, RunView } from '../federation/gen/federation/v1/federation_pb';
import type { Metrics } from '../federation/trainer-contract';

/** What is kept of a round of a simulated run. */
export interface RoundRecord {
  readonly round: number;
  readonly modelDigest: string;
  /** Sites that were asked, and whose updates the model is made of; late updates of earlier rounds are not among them. */
  readonly asked: number;
  readonly contributors: number;
  /** Of training: means over the updates, weighted by their samples. */
  readonly training: Metrics;
  /** Of the global model: means over the sites, weighted by their held-out cases; empty when it was not evaluated. */
  readonly evaluation: Metrics;
  readonly seconds: number;
  /** What would travel: every byte of a model that went through the port. */
  readonly bytesToSites: number;
  readonly bytesFromSites: number;
}

const STAGES_OF_A_ROUND: ReadonlySet<string> = new Set(['train', 'aggregate', 'evaluate']);

/** Rounds whose figures are final, the first ones first. */
export function endedRounds(view: RunView): RoundRecord[] {
  const current = STAGES_OF_A_ROUND.has(view.stage) ? view.summary?.round : undefined;
  return view.rounds.filter(({ round }) => round !== current).map(recordOf);
}

function recordOf(round: RoundView): RoundRecord {
  return {
    round: round.round,
    modelDigest: round.modelDigest,
    asked: round.cohort.length,
    contributors: round.contributors.length,
    training: { ...round.metrics },
    evaluation: meanMetrics(round),
    seconds: round.seconds,
    bytesToSites: Number(round.bytesToSites),
    bytesFromSites: Number(round.bytesFromSites),
  };
}

/** A metric that not all sites tell is left out: its mean would be of other cases. */
function meanMetrics({ evaluations }: RoundView): Metrics {
  const samples = evaluations.reduce((sum, site) => sum + Number(site.samples), 0);
  if (samples === 0) return {};
  const names = Object.keys(evaluations[0]!.metrics).filter((name) =>
    evaluations.every(({ metrics }) => name in metrics),
  );
  const mean = (name: string) =>
    evaluations.reduce((sum, site) => sum + site.metrics[name]! * Number(site.samples), 0) / samples;
  return Object.fromEntries(names.map((name) => [name, mean(name)]));
}
