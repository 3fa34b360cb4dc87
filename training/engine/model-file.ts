import { readTensors, type WrittenFile, writeTensors } from '../../federation/tensors/file';
import { networkSpec } from './architecture';
import { type ModelCard, metadataOf, parseModelCard } from './model-card';
import { tensorsOf, type Weights, weightsOf } from './weights';

export interface Model {
  readonly card: ModelCard;
  readonly weights: Weights;
}

/**
 * Reads a model file of this engine.
 *
 * @throws ClaraError not-found; corrupt for a broken safetensors file; invalid-input with every fault of card and tensors
 */
export async function readModel(file: string, signal?: AbortSignal): Promise<Model> {
  const { layout, tensors } = await readTensors(file, { signal });
  const card = parseModelCard(layout.metadata, file);
  return { card, weights: weightsOf(networkSpec(card.channels), tensors, file) };
}

/** Writes a model file, durable and whole or not at all. */
export async function writeModel(file: string, { card, weights }: Model): Promise<WrittenFile> {
  return writeTensors(file, tensorsOf(networkSpec(card.channels), weights), metadataOf(card));
}
