import { randomInt } from 'node:crypto';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError, type Fault, showValue } from '../../base/errors';
import { readTensors, writeTensors } from '../../federation/tensors/file';
import {
  REPORT_FILE,
  STATE_FOLDER,
  TASK_FILE,
  TRAINER_PROTOCOL,
  type TrainerReport,
  type TrainTask,
  trainerReportSchema,
} from '../../federation/trainer-contract';
import { type DecathlonDataset, openDecathlon } from '../../imaging/decathlon';

/** What a fine-tuning learns from: a Decathlon dataset (dataset.json, images, labels). */
export function samplesFolder(workspace: string, model: string): string {
  return path.join(workspace, 'samples', model);
}

/** @throws ClaraError `not-found` with what to do; `invalid-input` with every fault of the list */
export async function openSamples(workspace: string, model: string): Promise<DecathlonDataset> {
  try {
    return await openDecathlon(samplesFolder(workspace, model));
  } catch (error) {
    const known = ClaraError.from(error);
    if (known.code !== 'not-found')
      throw new ClaraError(
        known.code,
        `The samples of ${model} cannot be used: ${known.faults.length} faults in dataset.json.`,
        { cause: known },
      );
    throw new ClaraError(
      'not-found',
      `There are no samples to learn from; put a Decathlon dataset (dataset.json, images, labels) into samples/${model} of the workspace.`,
    );
  }
}

/** Learning goes on from good weights: slower than the trainer begins, and without a long warm-up. */
const GENTLE = { learningRate: 0.002, warmUpSteps: 4 } as const;
const MAX_EPOCHS = 10_000;

/**
 * What the trainer is told. `epochs` of the options, as Clara Train counts, becomes as many steps as see each case that often; everything
 * else is the trainer's own and goes to it as it is.
 *
 * @param options such as `epochs=5,learningRate=0.001`
 * @throws ClaraError `invalid-input` with every fault
 */
export function trainerParameters(options: string | undefined, cases: number): Record<string, string | number> {
  const faults: Fault[] = [];
  const given: Record<string, string | number> = {};
  for (const option of (options ?? '').split(/[,;&\s]+/).filter((text) => text !== '')) {
    const [, key, value] = /^([A-Za-z]\w{0,63})=(.{1,200})$/.exec(option) ?? [];
    if (key === undefined)
      faults.push({ path: 'options', value: showValue(option), rule: 'must be key=value, such as epochs=5' });
    else given[key] = Number.isFinite(Number(value)) ? Number(value) : value;
  }
  const { epochs = 1, ...own } = given;
  if (!Number.isInteger(epochs) || Number(epochs) < 1 || Number(epochs) > MAX_EPOCHS) {
    faults.push({ path: 'epochs', value: showValue(epochs), rule: `must be a whole number from 1 to ${MAX_EPOCHS}` });
  }
  if (faults.length > 0) throw ClaraError.ofFaults('The options', faults);
  const batch = typeof own.batch === 'number' && own.batch >= 1 ? own.batch : 1;
  return { ...GENTLE, stepsPerRound: Math.max(1, Math.ceil((Number(epochs) * cases) / batch)), ...own };
}

const INPUT = 'model.safetensors';
const OUTPUT = 'update.safetensors';

export interface TaskParts {
  readonly id: string;
  readonly model: string;
  /** The model's file in the registry. */
  readonly file: string;
  readonly dataset: string;
  readonly parameters: Record<string, string | number>;
  /** Milliseconds since 1970. */
  readonly deadline: number;
}

/** Writes the folder of a task of kind `train`. */
export async function writeTask(
  folder: string,
  { id, model, file, dataset, parameters, deadline }: TaskParts,
): Promise<void> {
  const task: TrainTask = {
    protocol: TRAINER_PROTOCOL,
    kind: 'train',
    task: id,
    run: `finetune-${model}`.slice(0, 100),
    round: 1,
    rounds: 1,
    site: 'annotation-server',
    seed: randomInt(2 ** 32),
    deadline: new Date(deadline).toISOString(),
    dataset: { kind: 'decathlon', path: dataset },
    parameters,
    model: { input: INPUT, output: OUTPUT },
  };
  await mkdir(path.join(folder, STATE_FOLDER));
  await copyFile(file, path.join(folder, INPUT));
  await writeFileDurably(path.join(folder, TASK_FILE), `${JSON.stringify(task, null, 2)}\n`);
}

export interface TrainedModel {
  /** A whole model: what was learned, with the card of the model that it began with. */
  readonly file: string;
  readonly report: TrainerReport;
}

/** @throws ClaraError `trainer-failed` when what the trainer left is not the model that it was given, with other finite numbers in it */
export async function readTrained(folder: string): Promise<TrainedModel> {
  try {
    const report = trainerReportSchema.parse(JSON.parse(await readFile(path.join(folder, REPORT_FILE), 'utf8')));
    const before = await readTensors(path.join(folder, INPUT));
    const after = await readTensors(path.join(folder, OUTPUT));
    const tensors = [...before.tensors.values()].map(({ name, dtype, shape }) => {
      const found = after.tensors.get(name);
      if (found?.dtype === dtype && found.shape.join() === shape.join()) return found;
      throw new ClaraError('trainer-failed', `tensor ${name} is missing or has another shape or type`);
    });
    const file = path.join(folder, 'trained.safetensors');
    await writeTensors(file, tensors, before.layout.metadata);
    return { file, report };
  } catch (cause) {
    throw new ClaraError('trainer-failed', `what the trainer left cannot be used: ${(cause as Error).message}`, {
      cause,
    });
  }
}
