import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Engines, InferenceEngine } from '../../../aiaa/inference/inference-engine';

/** Orders that a volume gives by its first voxel. */
export const ORDER = { threshold: 0, waitUntilCancelled: 1, hang: 2, crash: 3, fail: 4, refuse: 5, garble: 6 } as const;

/** Weights of a model that takes no orders: for volumes that are drawn at random. */
export const DEAF = 'deaf';

/** What a model takes for anything whose weights say so. */
export const SLOW_MS = 2400;

/** Engine double: the organ is everything of 50 HU and more. It really runs in the inference process. */
const engine: InferenceEngine<'reference'> = {
  async load({ file }) {
    const weights = readFileSync(file, 'utf8');
    if (weights.startsWith('broken')) throw new Error('weights are broken');
    return {
      async segment(volume, { signal } = {}) {
        if (weights.startsWith('slow')) await delay(SLOW_MS, undefined, { signal });
        const { ClaraError } = await import('../../../base/errors');
        switch (weights.startsWith(DEAF) ? ORDER.threshold : volume.data[0]) {
          case ORDER.waitUntilCancelled:
            await delay(600_000, undefined, { signal });
            break;
          case ORDER.hang:
            for (;;);
          case ORDER.crash:
            process.exit(9);
            break;
          case ORDER.fail:
            throw new Error('out of arrays');
          case ORDER.garble:
            process.send!({ kind: 'done', id: 'nobody' });
            break;
          case ORDER.refuse:
            throw new ClaraError('invalid-input', 'The volume is sheared; resample it.');
        }
        const data = Uint8Array.from(volume.data, (value) => (value >= 50 ? 1 : 0));
        return { geometry: volume.geometry, data };
      },
      /** In hundredths, as the second voxel says; below zero it cannot tell, and above a hundred it thinks for ever. */
      async uncertainty({ data }, { signal } = {}) {
        if (data[1] > 100) await delay(600_000, undefined, { signal });
        if (data[1] < 0) throw new Error('no idea');
        return data[1] / 100;
      },
      close() {},
    };
  },
};

const interactive: InferenceEngine<'interactive'> = {
  async load(source) {
    const { interactiveEngine } = await import('../../../aiaa/inference/interactive-engine'); // few tests need it
    return interactiveEngine.load(source);
  },
};

export const engines = { reference: engine, interactive } satisfies Engines;
