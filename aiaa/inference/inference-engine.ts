import { ClaraError } from '../../base/errors';
import type { Mask, Volume } from '../../imaging/volume';
import type { Told } from '../config/pipeline';
import type { Interaction } from './interaction';
import type { EngineKind, ModelSource, SourceOf } from './model-source';

/** Port to whatever computes masks. An engine lives in the inference process. */
export interface InferenceEngine<Kind extends EngineKind = EngineKind> {
  /** @param source of a model whose file, when it has one, was found to have its digest */
  load(source: SourceOf<Kind>): Promise<LoadedModel>;
}

/** The engines of a process, by kind. */
export type Engines = { readonly [Kind in EngineKind]?: InferenceEngine<Kind> };

/** What a model file says of itself; used where the publisher says nothing else. */
export interface ModelDescription {
  readonly labels?: readonly string[];
  readonly description?: string;
}

export interface LoadedModel {
  readonly description?: ModelDescription;
  /** What clients are told beside the mask, and under which names. @default nothing but what the type of model asks for */
  readonly told?: Told;
  /** What a health check points at in `probe.ts`'s volume, for models that need a person. */
  readonly probeWith?: Interaction;
  /**
   * A mask on exactly the grid of `volume`, 0 = background, n = the n-th label. It must give control back to the event loop
   * now and then, or cancelling works only by killing the process.
   */
  segment(volume: Volume, options?: SegmentOptions): Promise<Segmented>;
  /** How unsure it is of `volume`, 0..1; only of models that say what is probable. */
  readonly uncertainty?: (volume: Volume, options?: SegmentOptions) => Promise<number>;
  /** Gives the memory back. */
  close(): void | Promise<void>;
}

/** A mask, and what clients are told beside it. */
export interface Segmented extends Mask {
  readonly told?: Readonly<Record<string, unknown>>;
}

export interface SegmentOptions {
  /** What a person has pointed at. */
  readonly interaction?: Interaction;
  readonly signal?: AbortSignal;
  /** Told the finished share, 0..1. */
  readonly onProgress?: (fraction: number) => void;
}

/** What the module exports from which the inference process takes its engines. */
export interface EngineModule {
  readonly engines: Engines;
}

/** @throws ClaraError `unsupported` when there is no engine of this kind; whatever loading throws */
export function loadModel(engines: Engines, source: ModelSource): Promise<LoadedModel> {
  const engine = engines[source.engine] as InferenceEngine | undefined; // the kind of a source is that of its engine
  if (engine === undefined) {
    throw new ClaraError('unsupported', `this server has no engine "${source.engine}"; remove the model`);
  }
  return engine.load(source);
}
