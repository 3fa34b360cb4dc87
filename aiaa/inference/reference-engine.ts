import { loadSegmenter } from '../../training/engine/segmenter';
import type { InferenceEngine } from './inference-engine';

/** The engine that comes with the platform: the 3D U-Net of training/, its models as safetensors with a model card. */
export const referenceEngine: InferenceEngine<'reference'> = {
  async load({ file }) {
    const segmenter = await loadSegmenter(file);
    const { labels, description } = segmenter.card;
    return {
      description: { labels, description },
      segment: (volume, options) => segmenter.segment(volume, options),
      close: () => segmenter.close(),
    };
  },
};
