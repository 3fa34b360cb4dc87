import { loadSegmenter } from '../../training/engine/segmenter';
import { compileConfig, parseAiaaConfig } from '../config/aiaa-config';
import type { InferenceEngine } from './inference-engine';
import { finishMask } from './pipeline/finish';
import { uncertaintyOf } from './uncertainty';

/**
 * The engine that comes with the platform: the 3D U-Net of training/, its models as safetensors with a model card. The card says what a
 * volume becomes before the network and after it; a configuration may add what happens to the mask.
 */
export const referenceEngine: InferenceEngine<'reference'> = {
  async load({ file, config }) {
    const pipeline = config === undefined ? undefined : compileConfig(parseAiaaConfig(config), 'mask');
    const segmenter = await loadSegmenter(file);
    const { labels, description } = segmenter.card;
    return {
      description: { labels, description },
      ...(pipeline && { told: pipeline.told }),
      async segment(volume, options) {
        const mask = await segmenter.segment(volume, { ...options, ...(pipeline && { overlap: pipeline.overlap }) });
        return pipeline === undefined ? mask : finishMask(mask, pipeline.post, volume.geometry);
      },
      async uncertainty(volume, options) {
        const { data } = await segmenter.probabilities(volume, options);
        return uncertaintyOf([data]);
      },
      close: () => segmenter.close(),
    };
  },
};
