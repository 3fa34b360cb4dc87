import type { Mask, Volume } from '../../../imaging/volume';
import type { Pipeline } from '../../config/pipeline';
import type { SegmentOptions } from '../inference-engine';
import { finishMask, probabilitiesOf } from './finish';
import type { Network } from './network';
import { prepareVolume } from './prepare';
import { slideOver } from './sliding-window';

/** A mask on the grid of `volume`: what the configuration asks for before the network, the network, and what comes after it. */
export async function segmentBy(
  network: Network,
  pipeline: Pipeline,
  volume: Volume,
  options: SegmentOptions = {},
): Promise<Mask> {
  const scores = await slideOver(network, prepareVolume(volume, pipeline.pre), pipeline.window, options);
  return finishMask(scores, pipeline.post, volume.geometry);
}

/** What the network takes for how probable, on the grid that it works on: channels as {@link probabilitiesOf} gives them. */
export async function probabilitiesBy(
  network: Network,
  pipeline: Pipeline,
  volume: Volume,
  options: SegmentOptions = {},
): Promise<readonly Float32Array[]> {
  const scores = await slideOver(network, prepareVolume(volume, pipeline.pre), pipeline.window, options);
  return probabilitiesOf(scores, pipeline.post).channels;
}
