import { ClaraError } from '../../base/errors';
import type { Geometry, Volume } from '../../imaging/volume';
import { type Engines, type LoadedModel, loadModel, type ModelDescription } from './inference-engine';
import type { ModelSource } from './model-source';

/** Edge of the probe's volume, in voxels. */
export const PROBE_EDGE = 16;

/** A block of soft tissue with a gradient, 48 mm wide: the smallest volume that sends every layer through its work. */
export function probeVolume(): Volume {
  const geometry: Geometry = {
    shape: [PROBE_EDGE, PROBE_EDGE, PROBE_EDGE],
    affine: [3, 0, 0, 0, 0, 3, 0, 0, 0, 0, 3, 0],
  };
  const data = new Int16Array(PROBE_EDGE ** 3);
  for (let at = 0; at < data.length; at += 1) data[at] = (at % 200) - 50;
  return { geometry, data };
}

/** Runs a real, tiny inference. @throws ClaraError when the model does not answer with a mask of the right size */
export async function probeModel(model: LoadedModel, signal?: AbortSignal): Promise<void> {
  const volume = probeVolume();
  const mask = await model.segment(volume, { interaction: model.probeWith, signal });
  const right = mask.data.length === volume.data.length && mask.geometry.shape.every((size) => size === PROBE_EDGE);
  if (!right) {
    throw new ClaraError(
      'internal',
      `the model answered a volume of ${volume.geometry.shape} voxels with a mask of ${mask.geometry.shape}`,
    );
  }
}

/** Loads a model, segments a tiny volume with it and closes it. */
export type InspectModel = (source: ModelSource, signal?: AbortSignal) => Promise<ModelDescription>;

/** Inspects models in this process. */
export function inspectWith(engines: Engines): InspectModel {
  return async (source, signal) => {
    const model = await loadModel(engines, source);
    try {
      await probeModel(model, signal);
      return model.description ?? {};
    } finally {
      await model.close();
    }
  };
}
