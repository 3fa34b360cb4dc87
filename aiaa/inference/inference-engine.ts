import type { Mask, Volume } from '../../imaging/volume';

/**
 * Port to whatever computes masks. An engine lives in the inference process; the server knows it only by the module that
 * it is loaded from, which exports `engine`.
 */
export interface InferenceEngine {
  /** @param modelFile a file in the registry whose digest has been checked */
  load(modelFile: string): Promise<LoadedModel>;
}

/** What a model file says of itself; used where the publisher says nothing else. */
export interface ModelDescription {
  readonly labels?: readonly string[];
  readonly description?: string;
}

export interface LoadedModel {
  readonly description?: ModelDescription;
  /**
   * A mask on exactly the grid of `volume`, 0 = background, n = the n-th label. It must give control back to the event loop
   * now and then, or cancelling works only by killing the process.
   */
  segment(volume: Volume, options?: SegmentOptions): Promise<Mask>;
  /** Gives the memory back. */
  close(): void | Promise<void>;
}

export interface SegmentOptions {
  readonly signal?: AbortSignal;
  /** Told the finished share, 0..1. */
  readonly onProgress?: (fraction: number) => void;
}

/** What an engine module exports. */
export interface EngineModule {
  readonly engine: InferenceEngine;
}
