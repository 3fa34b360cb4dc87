import type { Engines } from './inference-engine';
import { interactiveEngine } from './interactive-engine';
import { onnxEngine } from './onnx-engine';
import { referenceEngine } from './reference-engine';

/** Every engine that the server comes with. */
export const engines: Engines = {
  reference: referenceEngine,
  onnx: onnxEngine,
  interactive: interactiveEngine,
};
