import { segmentByClicks } from '../../annotation/deepgrow';
import { segmentByExtremePoints } from '../../annotation/extreme-points';
import type { IndexBox } from '../../annotation/work-grid';
import { ClaraError } from '../../base/errors';
import type { Volume } from '../../imaging/volume';
import { BUILT_IN_MODELS } from '../registry/built-in-models';
import type { InferenceEngine, LoadedModel } from './inference-engine';
import type { Interaction } from './interaction';
import { PROBE_EDGE } from './probe';

const MIDDLE = PROBE_EDGE >> 1;

/** What a health check points at: the sides of a box, and its middle. */
const PROBES: Readonly<Record<Interaction['kind'], Interaction>> = {
  'extreme-points': {
    kind: 'extreme-points',
    points: [
      [4, MIDDLE, MIDDLE],
      [11, MIDDLE, MIDDLE],
      [MIDDLE, 4, MIDDLE],
      [MIDDLE, 11, MIDDLE],
      [MIDDLE, MIDDLE, 4],
      [MIDDLE, MIDDLE, 11],
    ],
  },
  clicks: { kind: 'clicks', foreground: [[MIDDLE, MIDDLE, MIDDLE]], background: [] },
};

/** What was looked at, as Slicer takes it: inside it the mask replaces what was there. The end of a range is not in it. */
function cropOf({ first, last }: IndexBox, { geometry }: Volume): [number, number][] {
  return geometry.shape.map((size, axis) => [first[axis], Math.min(size, last[axis] + 1)]);
}

/** Models made by code alone, of `annotation/`: they answer a person's points and clicks. */
export const interactiveEngine: InferenceEngine<'interactive'> = {
  async load({ name }) {
    const entry = BUILT_IN_MODELS.find((builtIn) => builtIn.name === name);
    if (entry === undefined) throw new ClaraError('not-found', `there is no interactive model ${name}`);
    const { asks, flat } = entry.interactive;
    const model: LoadedModel = {
      probeWith: PROBES[asks],
      async segment(volume, { interaction, signal } = {}) {
        if (interaction?.kind !== asks) {
          throw new ClaraError('invalid-input', `Model ${name} needs ${asks}, as /v1/models tells by its type.`);
        }
        if (interaction.kind === 'extreme-points') {
          return segmentByExtremePoints(volume, interaction.points, { signal });
        }
        const clicked = (interaction.current ?? interaction.foreground.at(-1))?.[2] ?? 0;
        const slice = flat ? Math.min(clicked, volume.geometry.shape[2] - 1) : undefined; // as `voxelsIn` takes it
        const { mask, box } = await segmentByClicks(volume, interaction, { signal, slice });
        return flat ? mask : { ...mask, told: { crop: cropOf(box, volume) } };
      },
      close() {},
    };
    return model;
  },
};
