import { networkSpec } from '../../../training/engine/architecture';
import { ENGINE_ID, type ModelCard } from '../../../training/engine/model-card';
import { writeModel } from '../../../training/engine/model-file';
import { initialWeights } from '../../../training/engine/weights';

/** The smallest network that the reference trainer trains. */
export const TINY_CARD: ModelCard = {
  engine: ENGINE_ID,
  name: 'tiny',
  description: 'Never trained',
  labels: ['spleen'],
  channels: [8, 16],
  patch: [16, 16, 8],
  spacing: [12, 12, 16],
  window: { low: -160, high: 240 },
};

/** Writes a model of {@link TINY_CARD} with weights drawn from `seed`. */
export async function writeTinyModel(file: string, seed = 3): Promise<void> {
  await writeModel(file, { card: TINY_CARD, weights: initialWeights(networkSpec(TINY_CARD.channels), seed) });
}
