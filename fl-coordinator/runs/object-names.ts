import type { Stage } from './stage';

/** Where the objects of runs lie in the store. Paths are the address, digests in the journal are the proof. */

const round4 = (round: number): string => String(round).padStart(4, '0');

export const journalPrefix = (run: string): string => `runs/${run}/journal/`;
export const modelKey = (run: string, round: number): string => `runs/${run}/rounds/${round4(round)}/model.safetensors`;
/** The server's control variate after that round. */
export const controlsKey = (run: string, round: number): string =>
  `runs/${run}/rounds/${round4(round)}/controls.safetensors`;
/** Below it lie the server optimiser's moments after that round. */
export const momentsPrefix = (run: string, round: number): string => `runs/${run}/rounds/${round4(round)}/moments`;

export function updateKey(run: string, stage: Stage, site: string): string {
  const folder = stage.kind === 'train-alone' ? 'alone' : 'rounds';
  // A site id has no dot.
  const turn = stage.turn === undefined ? '' : `.${stage.turn}`;
  return `runs/${run}/${folder}/${round4(stage.round)}/updates/${site}${turn}.safetensors`;
}

/** A model that an operator brought for plans to start from; its name is its digest, so it never changes. */
export const uploadedModelKey = (sha256: string): string => `models/${sha256}.safetensors`;
