import { ClaraError } from '../../base/errors';
import type { Shape3 } from '../../imaging/volume';
import { compileConfig, parseAiaaConfig } from '../config/aiaa-config';
import type { InferenceEngine } from './inference-engine';
import type { Network, NetworkOutput } from './pipeline/network';
import { probabilitiesBy, segmentBy } from './pipeline/segment';
import { uncertaintyOf } from './uncertainty';

/** The few things that are used of onnxruntime-node, which is an optional package. */
interface OnnxRuntime {
  readonly InferenceSession: { create(file: string, options: object): Promise<OnnxSession> };
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => OnnxTensor;
}

interface OnnxTensor {
  readonly type: string;
  readonly data: unknown;
  readonly dims: readonly number[];
}

interface OnnxValue {
  readonly name: string;
  readonly isTensor: boolean;
  readonly type?: string;
  readonly shape?: readonly (number | string)[];
}

interface OnnxSession {
  readonly inputMetadata: readonly OnnxValue[];
  readonly outputMetadata: readonly OnnxValue[];
  run(feeds: Readonly<Record<string, OnnxTensor>>): Promise<Readonly<Record<string, OnnxTensor>>>;
  release(): Promise<void>;
}

/** Networks of others, exported to ONNX, with a config_aiaa.json that says what surrounds them. Runs on the CPU. */
export const onnxEngine: InferenceEngine<'onnx'> = {
  async load({ file, config }) {
    const pipeline = compileConfig(parseAiaaConfig(config), 'scores');
    const runtime = await loadRuntime();
    const session = await openSession(runtime, file);
    try {
      const network = networkOf(runtime, session);
      return {
        told: pipeline.told,
        segment: (volume, options) => segmentBy(network, pipeline, volume, options),
        uncertainty: async (volume, options) =>
          uncertaintyOf(await probabilitiesBy(network, pipeline, volume, options)),
        close: () => session.release(),
      };
    } catch (error) {
      await session.release();
      throw error;
    }
  },
};

const PACKAGE = 'onnxruntime-node';

/** Loaded with the first model that needs it: it takes 50 MB of memory, and need not be installed. */
async function loadRuntime(): Promise<OnnxRuntime> {
  try {
    return (await import(PACKAGE)) as OnnxRuntime;
  } catch (cause) {
    throw new ClaraError(
      'unsupported',
      `ONNX models need the package ${PACKAGE}, which cannot be loaded here; install it beside the server (npm install ${PACKAGE}@1.30.0 --ignore-scripts)`,
      { cause },
    );
  }
}

async function openSession({ InferenceSession }: OnnxRuntime, file: string): Promise<OnnxSession> {
  try {
    return await InferenceSession.create(file, { executionProviders: ['cpu'], logSeverityLevel: 3 });
  } catch (cause) {
    throw new ClaraError('corrupt', `the ONNX file cannot be loaded: ${(cause as Error).message}`, { cause });
  }
}

/** @throws ClaraError `unsupported` unless it maps one float tensor [batch, 1, i, j, k] to one [batch, channels, i, j, k] */
function networkOf(runtime: OnnxRuntime, session: OnnxSession): Network {
  const input = onlyTensor('input', session.inputMetadata);
  const output = onlyTensor('output', session.outputMetadata);
  const [, channels, ...spatial] = input.shape ?? [];
  if (typeof channels === 'number' && channels !== 1) {
    throw new ClaraError('unsupported', `the network takes images of ${channels} channels; images of one are served`);
  }
  const inputShape = spatial.map((size) => (typeof size === 'number' && size > 0 ? size : null));
  return {
    inputShape: inputShape as unknown as Network['inputShape'],
    async run(values, shape) {
      const tensor = new runtime.Tensor('float32', values, [1, 1, ...shape]);
      const results = await session.run({ [input.name]: tensor });
      return outputOf(results[output.name], shape);
    },
  };
}

const RANK = 5;

function onlyTensor(which: string, values: readonly OnnxValue[]): OnnxValue {
  const [value] = values;
  const fits =
    values.length === 1 &&
    value.isTensor &&
    value.type === 'float32' &&
    [undefined, RANK].includes(value.shape?.length);
  if (fits) return value;
  const found = values.map(({ name, type, shape }) => `${name}: ${type ?? 'no tensor'} [${shape?.join(', ') ?? ''}]`);
  throw new ClaraError(
    'unsupported',
    `the network's ${which} is ${found.join('; ') || 'missing'}; it must be one float32 tensor of batch, channels and three axes`,
  );
}

function outputOf({ data, dims }: OnnxTensor, shape: Shape3): NetworkOutput {
  const [batch, channels, ...spatial] = dims;
  if (batch !== 1 || spatial.join() !== shape.join() || !(data instanceof Float32Array)) {
    throw new ClaraError(
      'unsupported',
      `the network answers a window of [1, 1, ${shape.join(', ')}] with [${dims.join(', ')}]; the three axes must stay as they are`,
    );
  }
  return { channels, values: data };
}
