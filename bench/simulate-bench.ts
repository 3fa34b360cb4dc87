import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { ClaraError } from '../base/errors';
import { lookAtOnceWhenLocal } from '../cli/file-waiting';
import type { PlanInput } from '../federation/plan';
import { endedRounds } from '../simulation/history';
import { Simulation } from '../simulation/simulation';
import { mean, quantile, rounded } from './figures';
import { cpuSecondsSince, loadAverage } from './process-usage';

export interface SimulateCase {
  readonly workspace: string;
  readonly sites: number;
  readonly mib: number;
  readonly rounds: number;
  /** Whether every site judges the model after each round too. */
  readonly evaluate: boolean;
  readonly threads?: number | undefined;
}

export interface SimulateResult extends SimulateCase {
  readonly case: 'simulate';
  readonly openSeconds: number;
  /** From the submission of the plan to its end. */
  readonly seconds: number;
  readonly secondsPerRound: { readonly median: number; readonly p95: number };
  readonly cpuSeconds: number;
  readonly cpuMillisecondsPerSiteAndRound: number;
  readonly gibMoved: number;
  readonly peakRssMiB: number;
  readonly modelDigest: string;
  readonly loadBefore: number;
}

const CLASSES = 16;

/** Rounds of many simulated sites, with a convex model of so many MiB and one step of one gradient at each site. */
export async function benchSimulate(wanted: SimulateCase): Promise<SimulateResult> {
  const loadBefore = loadAverage();
  await mkdir(wanted.workspace, { recursive: true });
  const folder = await mkdtemp(path.join(path.resolve(wanted.workspace), 'clara-simulate-'));
  // As `clara-fed simulate` does.
  await lookAtOnceWhenLocal([folder]);
  const threads = wanted.threads ?? availableParallelism();
  const began = performance.now();
  try {
    const simulation = await Simulation.open({
      folder,
      sites: Array.from({ length: wanted.sites }, (_, index) => `site-${String(index + 1).padStart(4, '0')}`),
      trainer: 'softmax',
      problem: { kind: 'softmax' },
      seed: 1,
      skew: 0.3,
      trouble: { seed: 1, drop: 0 },
      threads,
      signal: new AbortController().signal,
      onProblem: (message) => process.stderr.write(`bench: ${message}\n`),
    });
    try {
      const opened = performance.now();
      const before = process.cpuUsage();
      const run = await simulation.submit(JSON.stringify(planOf(wanted)), 'benchmark');
      let rounds: ReturnType<typeof endedRounds> = [];
      let digest = '';
      for await (const view of simulation.watch(run)) {
        const { state, reason, modelDigest } = view.summary!;
        if (state === 'failed') throw new ClaraError('internal', `the run failed: ${reason}`);
        digest = modelDigest;
        rounds = endedRounds(view);
      }
      const cpuSeconds = cpuSecondsSince(before);
      const seconds = rounds.map((round) => round.seconds);
      const moved = rounds.map(({ bytesToSites, bytesFromSites }) => bytesToSites + bytesFromSites);
      return {
        case: 'simulate',
        ...wanted,
        threads,
        openSeconds: rounded((opened - began) / 1000),
        seconds: rounded((performance.now() - opened) / 1000),
        secondsPerRound: { median: rounded(quantile(seconds, 0.5), 2), p95: rounded(quantile(seconds, 0.95), 2) },
        cpuSeconds: rounded(cpuSeconds),
        cpuMillisecondsPerSiteAndRound: rounded((1000 * cpuSeconds) / wanted.sites / wanted.rounds, 2),
        gibMoved: rounded((mean(moved) * moved.length) / 2 ** 30, 2),
        peakRssMiB: Math.round(process.resourceUsage().maxRSS / 1024),
        modelDigest: digest,
        loadBefore,
      };
    } finally {
      await simulation.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function planOf({ mib, rounds, evaluate }: SimulateCase): PlanInput {
  // As many features as make weights and biases fill the size.
  const features = Math.floor((mib * 2 ** 20) / 4 / CLASSES) - 1;
  return {
    name: 'bench',
    trainer: { name: 'softmax', parameters: { features, classes: CLASSES, samples: 2, epochs: 1, batch: 0 } },
    rounds,
    deadline: '1h',
    evaluation: { everyRound: evaluate },
  };
}
