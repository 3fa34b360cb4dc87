import { ClaraError, type Fault, showValue } from '../../base/errors';
import type { Shape3 } from '../../imaging/volume';
import { CHANNEL_MULTIPLE } from './kernels';

/**
 * The shape of the network: a 3D U-Net (Çiçek et al. 2016). Stage s works on the grid halved s times with `channels[s]`
 * channels; a stage is two blocks of 3x3x3 convolution, instance normalisation and leaky ReLU; stages are joined by max
 * pooling on the way down, by nearest-neighbour doubling and concatenation on the way up. One logit a voxel.
 */
export interface Architecture {
  /** Channels of each stage, finest first. */
  readonly channels: readonly number[];
  /** Voxels along i, j, k that the network sees at once. */
  readonly patch: Shape3;
}

const STAGES = { min: 2, max: 6 } as const;
const MAX_CHANNELS = 512;
const MAX_PATCH = 512;

/** Everything wrong with an architecture; empty when it can be built. */
export function architectureFaults({ channels, patch }: Architecture): Fault[] {
  const faults: Fault[] = [];
  if (channels.length < STAGES.min || channels.length > STAGES.max) {
    const rule = `give ${STAGES.min} to ${STAGES.max} stages`;
    faults.push({ path: 'channels', value: showValue(channels), rule });
  }
  for (const [stage, count] of channels.entries()) {
    if (Number.isInteger(count) && count > 0 && count <= MAX_CHANNELS && count % CHANNEL_MULTIPLE === 0) continue;
    const rule = `must be a multiple of ${CHANNEL_MULTIPLE} up to ${MAX_CHANNELS}`;
    faults.push({ path: `channels.${stage}`, value: showValue(count), rule });
  }
  const multiple = 2 ** Math.max(0, Math.min(channels.length, STAGES.max) - 1);
  for (const [axis, size] of patch.entries()) {
    if (Number.isInteger(size) && size > 0 && size <= MAX_PATCH && size % multiple === 0) continue;
    const rule = `must be a multiple of ${multiple} up to ${MAX_PATCH}, since ${channels.length} stages halve it ${channels.length - 1} times`;
    faults.push({ path: `patch.${axis}`, value: showValue(size), rule });
  }
  return faults;
}

/** @throws ClaraError invalid-input that lists every fault */
export function assertArchitecture(architecture: Architecture): void {
  const faults = architectureFaults(architecture);
  if (faults.length > 0) throw ClaraError.ofFaults('network architecture', faults);
}

export type ParameterRole = 'filter' | 'scale' | 'shift' | 'head weight' | 'head bias';

/** One parameter tensor and where it lies among all parameters. */
export interface ParameterSpec {
  readonly name: string;
  readonly role: ParameterRole;
  /** Filters: [3, 3, 3, inChannels, outChannels], taps along k, j, i. */
  readonly shape: readonly number[];
  readonly count: number;
  /** First element; a multiple of 4, so that SIMD may run over all parameters at once. */
  readonly offset: number;
}

/** One convolution with its normalisation. */
export interface BlockSpec {
  readonly stage: number;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly filter: ParameterSpec;
  readonly scale: ParameterSpec;
  readonly shift: ParameterSpec;
}

export type StageSpec = readonly [first: BlockSpec, second: BlockSpec];

export interface NetworkSpec {
  /** Every tensor, in the order of the model file. */
  readonly parameters: readonly ParameterSpec[];
  /** Elements of all parameters including the gaps between them. */
  readonly parameterSpan: number;
  /** One a stage, finest first. */
  readonly encoder: readonly StageSpec[];
  /** One a stage except the coarsest, finest first. */
  readonly decoder: readonly StageSpec[];
  readonly headWeight: ParameterSpec;
  readonly headBias: ParameterSpec;
}

/** Lays out all parameters. A convolution has no bias: the normalisation after it would remove it. */
export function networkSpec(channels: readonly number[]): NetworkSpec {
  const parameters: ParameterSpec[] = [];
  let span = 0;
  const parameter = (name: string, role: ParameterRole, shape: readonly number[]): ParameterSpec => {
    const count = shape.reduce((product, size) => product * size, 1);
    const spec = { name, role, shape, count, offset: span };
    span += Math.ceil(count / 4) * 4;
    parameters.push(spec);
    return spec;
  };
  const block = (name: string, stage: number, inChannels: number): BlockSpec => ({
    stage,
    inChannels,
    outChannels: channels[stage],
    filter: parameter(`${name}.filter`, 'filter', [3, 3, 3, inChannels, channels[stage]]),
    scale: parameter(`${name}.scale`, 'scale', [channels[stage]]),
    shift: parameter(`${name}.shift`, 'shift', [channels[stage]]),
  });
  const stageOf = (name: string, stage: number, inChannels: number): StageSpec => [
    block(`${name}.${stage}.0`, stage, inChannels),
    block(`${name}.${stage}.1`, stage, channels[stage]),
  ];
  const encoder = channels.map((_, stage) => stageOf('encoder', stage, stage === 0 ? 1 : channels[stage - 1]));
  const decoder = channels.slice(0, -1).map((count, stage) => stageOf('decoder', stage, count + channels[stage + 1]));
  return {
    encoder,
    decoder,
    headWeight: parameter('head.weight', 'head weight', [channels[0]]),
    headBias: parameter('head.bias', 'head bias', [1]),
    parameters,
    parameterSpan: span,
  };
}
