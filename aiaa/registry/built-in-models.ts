import type { EngineKind } from '../inference/model-source';
import type { ModelObject } from './model-entry';

/** A model that every server has without a file. Its name cannot be published. */
export interface BuiltInEntry extends ModelObject {
  readonly engine: Extract<EngineKind, 'interactive'>;
}

export const BUILT_IN_MODELS: readonly BuiltInEntry[] = [];
