import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { TrainerFeature } from '../../federation/trainer-contract';
import { OUTPUT_FILE } from '../task-files';
import type { CheckBench, Start } from './check-bench';
import { Failed, MEND, requireRefused } from './check-verdicts';

/** What the checks of features start from. */
export interface FeatureBench {
  readonly bench: CheckBench;
  /** Weights to start from. */
  readonly model: string;
  /** The folder of a training without a rule. */
  readonly trained: string;
  /** @throws Failed when the trainer did not leave a complete output in the folder */
  readonly requireOutput: (folder: string, start: Start) => Promise<void>;
}

export interface FeatureCheck {
  readonly name: string;
  readonly mend: string;
  readonly run: (around: FeatureBench) => Promise<void>;
}

const CHECKS: Readonly<Record<TrainerFeature, FeatureCheck>> = {
  fedprox: { name: 'supports fedprox', mend: MEND.fedprox, run: fedprox },
  fednova: { name: 'supports fednova', mend: MEND.fednova, run: fednova },
};

/** Proofs of what a trainer is said to support. */
export function featureChecks(supports: readonly TrainerFeature[]): FeatureCheck[] {
  const refusal = { name: 'refuses a rule that it does not know with exit code 64', mend: MEND.rule, run: unknownRule };
  return [
    ...supports.map((feature) => CHECKS[feature]),
    ...(supports.some((one) => one !== 'fednova') ? [refusal] : []),
  ];
}

async function fedprox({ bench, model, trained, requireOutput }: FeatureBench): Promise<void> {
  const folder = await bench.prepare({ kind: 'train', models: [model], rule: { kind: 'fedprox', mu: 1 } });
  await requireOutput(folder, await bench.start(folder));
  if ((await updateOf(folder)).equals(await updateOf(trained))) {
    throw new Failed('its update with mu = 1 is the same as without the rule; it must take more than one step');
  }
}

async function fednova({ bench, trained }: FeatureBench): Promise<void> {
  const report = await bench.report(trained);
  if (!report || report.steps < 1) throw new Failed('its report counts 0 steps');
}

async function unknownRule({ bench, model }: FeatureBench): Promise<void> {
  const folder = await bench.prepare({ kind: 'train', models: [model], rule: { kind: 'no-such-rule' } });
  requireRefused(await bench.start(folder));
}

function updateOf(folder: string): Promise<Buffer> {
  return readFile(path.join(folder, OUTPUT_FILE));
}
