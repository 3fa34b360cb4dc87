import path from 'node:path';
import { writeFile } from '../base/files';
import type { Task } from '../federation/gen/federation/v1/federation_pb';
import { statisticsRequest } from '../federation/statistics';
import type { ClientRule } from '../federation/strategy';
import {
  type InitialiseTask,
  TASK_FILE,
  TRAINER_PROTOCOL,
  type TrainerTask,
  type TrainTask,
} from '../federation/trainer-contract';
import type { SiteConfiguration } from './configuration';
import { inputOf } from './local-tensors';
import type { CheckedTask } from './task-checks';
import { CONTROLS_FILE, CONTROLS_OUTPUT_FILE, evaluatedFile, INPUT_FILE, OUTPUT_FILE } from './task-files';
import type { TaskRecord } from './task-journal';
import { ecsSettings } from './trainer-configuration';

/** Writes `task.json`: what the trainer is asked for, in the terms of the contract. */
export async function writeTaskFile(
  { task, deadline, fingerprint }: TaskRecord,
  { kind, parameters, rule, statistics, frozen, reinitialise, local }: CheckedTask,
  folder: string,
  site: SiteConfiguration,
): Promise<void> {
  const common = {
    protocol: TRAINER_PROTOCOL,
    // With what it asks for, so that another attempt under the same id does not go on from this one's state.
    task: `${task.id}#${fingerprint.slice(0, 8)}`,
    run: task.run,
    round: task.round,
    rounds: task.rounds,
    site: site.id,
    seed: task.seed,
    deadline,
    dataset: datasetOf(site),
    parameters,
  } as const;
  const still = frozen.length > 0 ? { frozen: [...frozen] } : {};
  const contents: TrainerTask =
    kind === 'statistics'
      ? { ...common, kind, statistics: statisticsRequest(statistics!) }
      : kind === 'initialise'
        ? { ...common, kind, ...firstWeights(reinitialise) }
        : kind === 'train'
          ? {
              ...{
                ...common,
                kind,
                model: { input: local.length > 0 ? await inputOf(folder) : INPUT_FILE, output: OUTPUT_FILE },
              },
              ...ruleOf(rule, task),
              ...still,
            }
          : { ...common, kind, models: task.models.map(({ name }, index) => ({ name, file: evaluatedFile(index) })) };
  await writeFile(path.join(folder, TASK_FILE), `${JSON.stringify(contents, undefined, 2)}\n`);
}

/** The dataset under the path that the trainer has it, which may be another one in its container. */
function datasetOf({ dataset, trainer }: SiteConfiguration): SiteConfiguration['dataset'] {
  const inContainer = ecsSettings(trainer)?.dataset;
  return dataset.kind === 'none' || inContainer === undefined ? dataset : { ...dataset, path: inContainer };
}

function firstWeights(reinitialise: readonly string[]): Pick<InitialiseTask, 'model' | 'reinitialise'> {
  if (reinitialise.length === 0) return { model: { output: OUTPUT_FILE } };
  return { model: { input: INPUT_FILE, output: OUTPUT_FILE }, reinitialise: [...reinitialise] };
}

/** As the task says it: a trainer without a rule is told of none. */
function ruleOf(rule: ClientRule, { models }: Task): Pick<TrainTask, 'rule'> {
  if (rule.kind === 'none') return {};
  if (rule.kind === 'fedprox') return { rule };
  const input = models.length > 1 ? { input: CONTROLS_FILE } : {};
  return { rule: { kind: 'scaffold', controls: { ...input, output: CONTROLS_OUTPUT_FILE } } };
}
