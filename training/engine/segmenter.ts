import { ClaraError } from '../../base/errors';
import { foregroundOf, resampleTo } from '../../imaging/resample';
import type { Mask, Volume } from '../../imaging/volume';
import type { ModelCard } from './model-card';
import { type Model, readModel } from './model-file';
import { networkInput, OUTSIDE, prepareScan } from './preprocessing';
import { slideOver } from './sliding-window';
import { UNet } from './unet';

export interface SegmentOptions {
  /** Share of a patch that neighbouring patches have in common along each axis, from 0 to 0.9. @default 0.25 */
  readonly overlap?: number;
  readonly signal?: AbortSignal;
  /** Called with the finished share, 0..1. */
  readonly onProgress?: (fraction: number) => void;
}

const DEFAULT_OVERLAP = 0.25;
const MAX_OVERLAP = 0.9;

/** A model ready to segment scans. */
export class Segmenter {
  readonly card: ModelCard;
  #net: UNet | undefined;

  /** @param net a network to use instead of a new one, of the card's architecture; its weights are replaced */
  constructor({ card, weights }: Model, net: UNet = new UNet(card, 'inference')) {
    this.card = card;
    this.#net = net;
    net.weights.set(weights);
  }

  /**
   * Finds the organ in a scan in Hounsfield units, of any orientation and spacing.
   *
   * @returns 1 in the organ, 0 elsewhere, on exactly the grid and affine of `scan`
   * @throws the reason of `signal` soon after it fires; ClaraError invalid-input for an impossible overlap,
   *   precondition-failed after {@link close}
   */
  async segment(scan: Volume, options: SegmentOptions = {}): Promise<Mask> {
    const { geometry, data } = await this.probabilities(scan, options);
    return { geometry, data: foregroundOf(data) };
  }

  /** What {@link segment} decides by: the probability of the organ, 0..1, of each voxel of `scan`. Throws what that throws. */
  async probabilities(scan: Volume, options: SegmentOptions = {}): Promise<Volume<Float32Array>> {
    const { overlap = DEFAULT_OVERLAP, signal, onProgress } = options;
    if (!(overlap >= 0 && overlap <= MAX_OVERLAP)) {
      throw new ClaraError('invalid-input', `overlap ${overlap} of patches must be from 0 to ${MAX_OVERLAP}`);
    }
    if (this.#net === undefined) {
      throw new ClaraError('precondition-failed', `model ${this.card.name} was closed; load it again to segment`);
    }
    const prepared = prepareScan(scan, this.card);
    const sliding = { overlap, outside: OUTSIDE, signal, onProgress };
    const data = await slideOver(this.#net, networkInput(prepared), sliding);
    return resampleTo({ geometry: prepared.geometry, data }, scan.geometry);
  }

  /** Gives the network's memory back; to be called when no {@link segment} is under way. May be repeated. */
  close(): void {
    this.#net = undefined;
  }
}

/**
 * Loads a model file of this engine.
 *
 * @throws ClaraError not-found, corrupt, invalid-input (with every fault), resource-exhausted
 */
export async function loadSegmenter(modelFile: string): Promise<Segmenter> {
  return new Segmenter(await readModel(modelFile));
}
