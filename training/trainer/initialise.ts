import { ClaraError, type Fault } from '../../base/errors';
import { deriveSeed } from '../../base/random';
import { readTensors } from '../../federation/tensors/file';
import { type InitialiseTask, TRAINER_PROTOCOL, type TrainerReport } from '../../federation/trainer-contract';
import { type NetworkSpec, networkSpec } from '../engine/architecture';
import { type ModelCard, parseModelCard } from '../engine/model-card';
import { writeModel } from '../engine/model-file';
import { initialWeights, type Weights } from '../engine/weights';
import type { Job } from './job';
import { parametersNamed } from './named-tensors';
import { newModelCard, transferredModelCard } from './parameters';

/**
 * Makes the model that round 1 starts from: a function of seed and parameters, and of the model whose tensors it takes over,
 * if the task names one.
 */
export async function initialise(job: Job<InitialiseTask>): Promise<TrainerReport> {
  const { task, folder } = job;
  const { card, weights } = task.reinitialise ? await transferred(job, task.reinitialise) : anew(job);
  await writeModel(folder.file(task.model.output), { card, weights });
  return { protocol: TRAINER_PROTOCOL, samples: 0, steps: 0, metrics: {}, evaluations: [], warnings: [] };
}

interface NewModel {
  readonly card: ModelCard;
  readonly weights: Weights;
}

function anew({ task, parameters }: Job<InitialiseTask>): NewModel {
  if (task.model.input !== undefined) {
    throw new ClaraError(
      'invalid-input',
      'the task names an initial model but nothing to make anew; add "reinitialise"',
    );
  }
  const card = newModelCard(parameters);
  return { card, weights: freshWeights(networkSpec(card.channels), task.seed) };
}

function freshWeights(spec: NetworkSpec, seed: number): Weights {
  return initialWeights(spec, deriveSeed('initial weights', seed));
}

/** The network that the parameters describe; tensors that are not made anew are those of the initial model. */
async function transferred(
  { task, parameters, folder, signal }: Job<InitialiseTask>,
  patterns: readonly string[],
): Promise<NewModel> {
  if (task.model.input === undefined) {
    throw new ClaraError('invalid-input', 'the task has "reinitialise" but no model.input to take other tensors from');
  }
  const file = folder.file(task.model.input);
  const { layout, tensors } = await readTensors(file, { signal });
  const card = transferredModelCard(parameters, parseModelCard(layout.metadata, file));
  const spec = networkSpec(card.channels);
  const fresh = new Set(parametersNamed(spec, patterns, 'reinitialise'));
  const weights = freshWeights(spec, task.seed);
  const faults: Fault[] = [];
  for (const parameter of spec.parameters) {
    if (fresh.has(parameter)) continue;
    const { name, shape, offset } = parameter;
    const tensor = tensors.get(name);
    const wanted = `F32 ${JSON.stringify(shape)}`;
    const found = tensor && `${tensor.dtype} ${JSON.stringify(tensor.shape)}`;
    if (tensor?.data instanceof Float32Array && found === wanted) weights.set(tensor.data, offset);
    else {
      const rule = `is not ${wanted} in the initial model; make it anew (reinitialise) or keep the network as it was`;
      faults.push({ path: name, value: found ?? 'missing', rule });
    }
  }
  if (faults.length > 0) throw ClaraError.ofFaults(file, faults);
  return { card, weights };
}
