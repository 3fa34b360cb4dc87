import type { Stage } from './stage';

/** Where the objects of runs lie in the store. Paths are the address, digests in the journal are the proof. */

const round4 = (round: number): string => String(round).padStart(4, '0');

export const journalPrefix = (run: string): string => `runs/${run}/journal/`;
export const modelKey = (run: string, round: number): string => `runs/${run}/rounds/${round4(round)}/model.safetensors`;
/** The server's control variate after that round. */
export const controlsKey = (run: string, round: number): string =>
  `runs/${run}/rounds/${round4(round)}/controls.safetensors`;
/** The model of that round as sites download it when the plan encodes models, and what they make of it. */
export const wireModelKey = (run: string, round: number): string =>
  `runs/${run}/rounds/${round4(round)}/wire/model.safetensors`;
export const decodedModelKey = (run: string, round: number): string =>
  `runs/${run}/rounds/${round4(round)}/wire/decoded.safetensors`;
/** Below it lie the server optimiser's moments after that round. */
export const momentsPrefix = (run: string, round: number): string => `runs/${run}/rounds/${round4(round)}/moments`;

export function updateKey(run: string, stage: Stage, site: string): string {
  const folder = stage.kind === 'train-alone' ? 'alone' : 'rounds';
  return `runs/${run}/${folder}/${round4(stage.round)}/updates/${updateFile(stage, site)}`;
}

/** An update as its site sent it, when the plan encodes updates; {@link updateKey} then is what it decodes to. */
export const sentUpdateKey = (run: string, stage: Stage, site: string): string =>
  `runs/${run}/rounds/${round4(stage.round)}/sent/${updateFile(stage, site)}`;

/** A site id has no dot. */
function updateFile({ turn }: Stage, site: string): string {
  return `${site}${turn === undefined ? '' : `.${turn}`}.safetensors`;
}

/** A model that an operator brought for plans to start from; its name is its digest, so it never changes. */
export const uploadedModelKey = (sha256: string): string => `models/${sha256}.safetensors`;
