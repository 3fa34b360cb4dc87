import { deriveSeed } from '../../base/random';
import { type InitialiseTask, TRAINER_PROTOCOL, type TrainerReport } from '../../federation/trainer-contract';
import { networkSpec } from '../engine/architecture';
import { writeModel } from '../engine/model-file';
import { initialWeights } from '../engine/weights';
import type { Job } from './job';
import { newModelCard } from './parameters';

/** Makes the model that round 1 starts from: a function of seed and parameters alone. */
export async function initialise({ task, parameters, folder }: Job<InitialiseTask>): Promise<TrainerReport> {
  const card = newModelCard(parameters);
  const weights = initialWeights(networkSpec(card.channels), deriveSeed('initial weights', task.seed));
  await writeModel(folder.file(task.model.output), { card, weights });
  return { protocol: TRAINER_PROTOCOL, samples: 0, steps: 0, metrics: {}, evaluations: [], warnings: [] };
}
