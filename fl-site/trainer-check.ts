import os from 'node:os';
import path from 'node:path';
import { ClaraError } from '../base/errors';
import { exists } from '../base/exists';
import { mkdtemp, rm } from '../base/files';
import type { ProgramStart } from '../base/own-program';
import type { TrainerFeature } from '../federation/trainer-contract';
import { CheckBench, type CheckedDataset } from './trainer-check/check-bench';
import { type CheckStep, ContractChecks } from './trainer-check/contract-checks';

export type { CheckStep } from './trainer-check/contract-checks';

export interface TrainerCheckOptions {
  /** What the trainer is given to learn from; small is enough. @default none */
  readonly dataset?: CheckedDataset;
  /** The plan's parameters for the trainer. @default {} */
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** Weights to start from, for a trainer that cannot make the first ones itself. */
  readonly model?: string;
  /** What `trainer.supports` of the site configuration is going to say; each is proven. @default nothing */
  readonly supports?: readonly TrainerFeature[];
  /** The longest time that one start may take. @default 10 minutes */
  readonly timeoutMillis?: number;
  /** @default 30 000, as the contract says */
  readonly graceMillis?: number;
  /** As `trainer.environment` of the site configuration. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Only what needs no training and no data: it starts, makes first weights, refuses bad input. @default false */
  readonly quick?: boolean;
  /** Told of each step when it is over. */
  readonly onStep?: (step: CheckStep) => void;
}

export interface CheckReport {
  /** True when no step failed. */
  readonly passed: boolean;
  readonly steps: readonly CheckStep[];
}

/**
 * Proves a trainer against the contract of docs/trainer-contract.md: starts it a dozen times on folders like those that an
 * agent makes, interrupts it, gives it bad input, and compares what it leaves.
 *
 * @param program command without the task folder, which is appended
 * @throws ClaraError `not-found` when there is no such dataset to train on
 */
export async function checkTrainer(program: ProgramStart, options: TrainerCheckOptions = {}): Promise<CheckReport> {
  const { dataset } = options;
  if (dataset?.kind === 'decathlon' && !options.quick && !(await exists(path.join(dataset.path, 'dataset.json')))) {
    throw new ClaraError(
      'not-found',
      `there is no ${dataset.path}/dataset.json; name a folder in the Decathlon layout`,
    );
  }
  const scratch = await mkdtemp(path.join(os.tmpdir(), 'clara-trainer-check-'));
  try {
    const bench = new CheckBench({
      program,
      scratch,
      dataset: dataset ?? { kind: 'none', path: '' },
      parameters: options.parameters ?? {},
      timeoutMillis: options.timeoutMillis ?? 600_000,
      graceMillis: options.graceMillis ?? 30_000,
      environment: options.environment,
      signal: options.signal ?? new AbortController().signal,
    });
    const check = new ContractChecks(bench, options);
    await check.all();
    return { passed: check.steps.every(({ outcome }) => outcome !== 'failed'), steps: check.steps };
  } finally {
    await rm(scratch, { recursive: true, force: true, maxRetries: 3 });
  }
}
