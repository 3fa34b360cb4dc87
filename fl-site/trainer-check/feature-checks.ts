import path from 'node:path';
import { showFault } from '../../base/errors';
import { readFile, writeFile } from '../../base/files';
import { readLayout } from '../../federation/tensors/file';
import { compareLayouts } from '../../federation/tensors/layout-check';
import { STATE_FOLDER, type TrainerFeature } from '../../federation/trainer-contract';
import { CONTROLS_FILE, CONTROLS_OUTPUT_FILE, OUTPUT_FILE, readReport } from '../task-files';
import type { CheckBench, Start, TaskOrder } from './check-bench';
import { Failed, MEND, requireDone, requireRefused, Skipped } from './check-verdicts';

/** What the checks of features start from. */
export interface FeatureBench {
  readonly bench: CheckBench;
  /** Weights to start from. */
  readonly model: string;
  /** The folder of a training without a rule. */
  readonly trained: string;
  /** @throws Failed when the trainer did not leave a complete output in the folder */
  readonly requireOutput: (folder: string, start: Start, controls?: string) => Promise<void>;
}

export interface FeatureCheck {
  readonly name: string;
  readonly mend: string;
  readonly run: (around: FeatureBench) => Promise<void>;
}

const CHECKS: Readonly<Record<TrainerFeature, FeatureCheck>> = {
  fedprox: { name: 'supports fedprox', mend: MEND.fedprox, run: fedprox },
  scaffold: { name: 'supports scaffold', mend: MEND.scaffold, run: scaffold },
  frozen: { name: 'supports frozen', mend: MEND.frozen, run: frozen },
  reinitialise: { name: 'supports reinitialise', mend: MEND.reinitialise, run: reinitialise },
  fednova: { name: 'supports fednova', mend: MEND.fednova, run: fednova },
};

/** Proofs of what a trainer is said to support. */
export function featureChecks(supports: readonly TrainerFeature[]): FeatureCheck[] {
  const refusal = { name: 'refuses a rule that it does not know with exit code 64', mend: MEND.rule, run: unknownRule };
  return [
    ...supports.map((feature) => CHECKS[feature]),
    ...(supports.some((one) => one === 'fedprox' || one === 'scaffold') ? [refusal] : []),
  ];
}

async function fedprox({ bench, model, trained, requireOutput }: FeatureBench): Promise<void> {
  const folder = await bench.prepare({ kind: 'train', models: [model], rule: { kind: 'fedprox', mu: 1 } });
  await requireOutput(folder, await bench.start(folder));
  if ((await updateOf(folder)).equals(await updateOf(trained))) {
    throw new Failed('its update with mu = 1 is the same as without the rule; it must take more than one step');
  }
}

/** A round from zero, then another with the state of the first, once with c = c_i and once with c = 0: what c is must matter. */
async function scaffold({ bench, model, requireOutput }: FeatureBench): Promise<void> {
  const train = async (order: Pick<TaskOrder, 'round' | 'seed' | 'state' | 'controls'>): Promise<string> => {
    const input = order.controls ? { input: CONTROLS_FILE } : {};
    const rule = { kind: 'scaffold', controls: { ...input, output: CONTROLS_OUTPUT_FILE } };
    const folder = await bench.prepare({ kind: 'train', models: [model], rule, ...order });
    await requireOutput(folder, await bench.start(folder), path.join(folder, CONTROLS_OUTPUT_FILE));
    return folder;
  };
  const first = await train({});
  const own = path.join(first, CONTROLS_OUTPUT_FILE);
  const layout = await readLayout(own);
  const zeros = path.join(first, 'zeros.safetensors');
  await writeFile(zeros, Buffer.concat([layout.headerBytes, Buffer.alloc(layout.dataBytes)]));
  if ((await readFile(own)).subarray(layout.headerBytes.length).every((byte) => byte === 0)) {
    throw new Failed('its control variate is zero after a round of training');
  }
  const second = { round: 2, seed: 8, state: path.join(first, STATE_FOLDER) };
  const same = await train({ ...second, controls: own });
  const other = await train({ ...second, controls: zeros });
  if ((await updateOf(same)).equals(await updateOf(other))) {
    throw new Failed('its update is the same whatever the control variate of all sites is');
  }
}

async function fednova({ trained }: FeatureBench): Promise<void> {
  const report = await readReport(trained);
  if (report.steps < 1) throw new Failed('its report counts 0 steps');
}

/** Its first tensor is frozen; the rest must go on learning. */
async function frozen({ bench, model, requireOutput }: FeatureBench): Promise<void> {
  const first = await firstTensor(model);
  const folder = await bench.prepare({ kind: 'train', models: [model], frozen: [exactly(first)] });
  await requireOutput(folder, await bench.start(folder));
  const changed = await changedTensors(model, path.join(folder, OUTPUT_FILE));
  if (changed.includes(first)) throw new Failed(`its update has another ${first}, which was frozen`);
  if (changed.length === 0) throw new Failed(`with ${first} frozen it learns nothing at all`);
}

/** Its last tensor is made anew, with another seed than the first time. */
async function reinitialise({ bench, model }: FeatureBench): Promise<void> {
  const { tensors } = await readLayout(model);
  if (tensors.length < 2) throw new Skipped('the model has one tensor only, so nothing would be taken over');
  const last = tensors.at(-1)!.name;
  const order = { kind: 'initialise', round: 0, seed: 11, models: [model], reinitialise: [exactly(last)] } as const;
  const folder = await bench.prepare(order);
  requireDone(await bench.start(folder));
  const output = path.join(folder, OUTPUT_FILE);
  const found = await readLayout(output);
  const faults = compareLayouts(
    { tensors: tensors.filter(({ name }) => name !== last) },
    { tensors: found.tensors.filter(({ name }) => name !== last) },
  );
  if (faults.length > 0) throw new Failed(`its model differs from the one to take over: ${showFault(faults[0]!)}`);
  const changed = (await changedTensors(model, output)).filter((name) => name !== last);
  if (changed.length > 0) throw new Failed(`it changed ${changed[0]}, which was to be taken over`);
}

/** A pattern of this name and no other. */
function exactly(name: string): string {
  return `^${name.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')}$`;
}

async function firstTensor(file: string): Promise<string> {
  const { tensors } = await readLayout(file);
  if (tensors.length < 2) throw new Skipped('the model has one tensor only, so nothing would be left to train');
  return tensors[0]!.name;
}

/** Names of tensors of the first file whose bytes the second one does not have. */
async function changedTensors(before: string, after: string): Promise<string[]> {
  const [a, b] = await Promise.all([dataOf(before), dataOf(after)]);
  return [...a].filter(([name, bytes]) => !b.get(name)?.equals(bytes)).map(([name]) => name);
}

async function dataOf(file: string): Promise<Map<string, Buffer>> {
  const { tensors, headerBytes } = await readLayout(file);
  const bytes = (await readFile(file)).subarray(headerBytes.length);
  return new Map(tensors.map(({ name, begin, end }) => [name, bytes.subarray(begin, end)]));
}

async function unknownRule({ bench, model }: FeatureBench): Promise<void> {
  const folder = await bench.prepare({ kind: 'train', models: [model], rule: { kind: 'no-such-rule' } });
  requireRefused(await bench.start(folder));
}

function updateOf(folder: string): Promise<Buffer> {
  return readFile(path.join(folder, OUTPUT_FILE));
}
