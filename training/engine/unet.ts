import { type Architecture, assertArchitecture, type BlockSpec, type NetworkSpec, networkSpec } from './architecture';
import { KernelMemory, type Pointer } from './kernels';
import type { Weights } from './weights';

/** Slope of the leaky ReLU below zero. */
export const SLOPE = 0.01;

/** Where one block keeps what it computes. */
interface Block extends BlockSpec {
  readonly padded: Pointer;
  /** The convolution's output, normalised in place. */
  readonly values: Pointer;
  readonly deviation: Pointer;
  readonly output: Pointer;
}

type Stage = readonly [first: Block, second: Block];

/** Depth, height and width of a stage's grid: the patch's k, j and i. */
type Grid = readonly [depth: number, height: number, width: number];

/** What only learning needs. Arrays are per stage, finest first. */
interface Gradients {
  readonly parameters: Pointer;
  /** Two arrays a stage, used in turn for the gradient that travels back; each holds the stage's widest activation. */
  readonly travelling: readonly (readonly [Pointer, Pointer])[];
  /** Gradient of the encoder's output, from the concatenation on the same stage and from the pooling below. */
  readonly skip: readonly Pointer[];
  readonly doubled: readonly Pointer[];
  readonly padded: Pointer;
  readonly turnedFilter: Pointer;
  readonly logits: Pointer;
}

/**
 * The network in memory, for one patch at a time: {@link forward} and, when it was made for learning, {@link backward}.
 * Everything is computed in f32 in a fixed order, so repetition gives the same bits.
 */
export class UNet {
  readonly architecture: Architecture;
  readonly spec: NetworkSpec;
  /** Voxels of a patch. */
  readonly voxels: number;
  readonly memory = new KernelMemory();
  readonly #weights: Pointer;
  readonly #input: Pointer;
  readonly #logits: Pointer;
  readonly #encoder: readonly Stage[];
  readonly #decoder: readonly Stage[];
  readonly #pooled: readonly Pointer[];
  readonly #doubled: readonly Pointer[];
  readonly #gradients: Gradients | undefined;

  /**
   * @param purpose networks for inference need about half of the memory
   * @throws ClaraError invalid-input for an impossible architecture, resource-exhausted when memory does not suffice
   */
  constructor(architecture: Architecture, purpose: 'inference' | 'learning') {
    assertArchitecture(architecture);
    const { channels, patch } = architecture;
    this.architecture = architecture;
    this.spec = networkSpec(channels);
    this.voxels = patch[0] * patch[1] * patch[2];

    const coarsest = channels.length - 1;
    const { memory, spec } = this;
    this.#weights = memory.reserve(spec.parameterSpan);
    this.#input = memory.reserve(this.voxels);
    this.#logits = memory.reserve(this.voxels);
    const block = (part: BlockSpec): Block => ({
      ...part,
      padded: memory.reserve(this.#paddedVoxels(part.stage) * part.inChannels),
      values: memory.reserve(this.#stageVoxels(part.stage) * part.outChannels),
      deviation: memory.reserve(part.outChannels),
      output: memory.reserve(this.#stageVoxels(part.stage) * part.outChannels),
    });
    this.#encoder = spec.encoder.map(([first, second]) => [block(first), block(second)]);
    this.#decoder = spec.decoder.map(([first, second]) => [block(first), block(second)]);
    const joints = channels.slice(0, coarsest);
    this.#pooled = joints.map((count, stage) => memory.reserve(this.#stageVoxels(stage + 1) * count));
    this.#doubled = joints.map((_, stage) => memory.reserve(this.#stageVoxels(stage) * channels[stage + 1]));
    this.#gradients = purpose === 'learning' ? this.#reserveGradients() : undefined;
  }

  /** All parameters, in place; laid out by {@link spec}. */
  get weights(): Weights {
    return this.memory.floats(this.#weights, this.spec.parameterSpan);
  }

  /** Gradients of the loss by {@link weights}, in place. */
  get weightGradients(): Float32Array {
    return this.memory.floats(this.#learning().parameters, this.spec.parameterSpan);
  }

  /** The patch to look at, in place: `voxels` values, i fastest, as the model card's preprocessing makes them. */
  get input(): Float32Array {
    return this.memory.floats(this.#input, this.voxels);
  }

  /** Gradient of the loss by each logit, in place; to be written before {@link backward}. */
  get logitGradients(): Float32Array {
    return this.memory.floats(this.#learning().logits, this.voxels);
  }

  /** Address of the weights, for kernels that change them. */
  get weightsPointer(): Pointer {
    return this.#weights;
  }

  get weightGradientsPointer(): Pointer {
    return this.#learning().parameters;
  }

  /** Computes one logit for each voxel of {@link input}. The answer is valid until the next call. */
  forward(): Float32Array {
    const { kernels } = this.memory;
    const { channels } = this.architecture;
    let output = this.#input;
    for (const [stage, [first, second]] of this.#encoder.entries()) {
      if (stage > 0) {
        kernels.maxPool(output, this.#pooled[stage - 1], ...this.#grid(stage - 1), channels[stage - 1]);
        output = this.#pooled[stage - 1];
      }
      kernels.pad(output, first.padded, ...this.#grid(stage), first.inChannels);
      this.#runBlock(first);
      output = this.#runSecond(first, second);
    }
    for (let stage = channels.length - 2; stage >= 0; stage--) {
      const [first, second] = this.#decoder[stage];
      kernels.doubleGrid(output, this.#doubled[stage], ...this.#grid(stage + 1), channels[stage + 1]);
      const skip = this.#encoder[stage][1].output;
      const joined = [channels[stage], channels[stage + 1]] as const;
      kernels.padJoined(skip, this.#doubled[stage], first.padded, ...this.#grid(stage), ...joined);
      this.#runBlock(first);
      output = this.#runSecond(first, second);
    }
    const bias = this.weights[this.spec.headBias.offset];
    kernels.head(output, this.#weight(this.spec.headWeight), bias, this.#logits, this.voxels, channels[0]);
    return this.memory.floats(this.#logits, this.voxels);
  }

  /** Adds to {@link weightGradients} what follows from {@link logitGradients} for the patch of the last {@link forward}. */
  backward(): void {
    const { kernels } = this.memory;
    const { channels } = this.architecture;
    const gradients = this.#learning();
    const coarsest = channels.length - 1;

    const { headWeight, headBias } = this.spec;
    let biasGradient = 0;
    for (const value of this.logitGradients) biasGradient += value;
    this.weightGradients[headBias.offset] += biasGradient;
    const last = this.#decoder[0][1].output;
    const top = gradients.travelling[0][0];
    kernels.headGradient(
      last,
      this.#weight(headWeight),
      gradients.logits,
      top,
      this.#gradient(headWeight),
      this.voxels,
      channels[0],
    );

    for (let stage = 0; stage < coarsest; stage++) {
      const [here, there] = gradients.travelling[stage];
      this.#blockGradient(this.#decoder[stage][1], here, there);
      this.#blockGradient(this.#decoder[stage][0], there, here);
      const joined = [channels[stage], channels[stage + 1]] as const;
      kernels.splitJoined(here, gradients.skip[stage], gradients.doubled[stage], this.#stageVoxels(stage), ...joined);
      const below = gradients.travelling[stage + 1][0];
      kernels.doubleGridGradient(gradients.doubled[stage], below, ...this.#grid(stage + 1), channels[stage + 1]);
    }
    for (let stage = coarsest; stage >= 0; stage--) {
      const [first, second] = this.#encoder[stage];
      const [here, there] = gradients.travelling[stage];
      this.#blockGradient(second, stage === coarsest ? here : gradients.skip[stage], there);
      if (stage === 0) {
        this.#blockGradient(first, there, undefined);
        break;
      }
      this.#blockGradient(first, there, here);
      const above = this.#encoder[stage - 1][1].output;
      const size = [...this.#grid(stage - 1), channels[stage - 1]] as const;
      kernels.maxPoolGradient(above, this.#pooled[stage - 1], here, gradients.skip[stage - 1], ...size);
    }
  }

  #runSecond(first: Block, second: Block): Pointer {
    this.memory.kernels.pad(first.output, second.padded, ...this.#grid(second.stage), second.inChannels);
    this.#runBlock(second);
    return second.output;
  }

  #runBlock({ stage, inChannels, outChannels, filter, scale, shift, padded, values, deviation, output }: Block): void {
    const { kernels } = this.memory;
    kernels.convolve(padded, this.#weight(filter), values, ...this.#grid(stage), inChannels, outChannels);
    const [scales, shifts] = [this.#weight(scale), this.#weight(shift)];
    kernels.normalise(values, output, scales, shifts, deviation, this.#stageVoxels(stage), outChannels, SLOPE);
  }

  /**
   * @param gradient of the block's output; replaced by that of its convolution's output
   * @param inputGradient receives the gradient of the block's input; not computed for the image itself
   */
  #blockGradient(block: Block, gradient: Pointer, inputGradient: Pointer | undefined): void {
    const { kernels } = this.memory;
    const { padded, turnedFilter } = this.#learning();
    const { stage, inChannels, outChannels, filter, scale, shift } = block;
    const grid = this.#grid(stage);
    kernels.normaliseGradient(
      block.values,
      block.output,
      gradient,
      this.#weight(scale),
      block.deviation,
      this.#gradient(scale),
      this.#gradient(shift),
      this.#stageVoxels(stage),
      outChannels,
      SLOPE,
    );
    kernels.convolveFilterGradient(block.padded, gradient, this.#gradient(filter), ...grid, inChannels, outChannels);
    if (inputGradient === undefined) return;
    kernels.turnFilter(this.#weight(filter), turnedFilter, inChannels, outChannels);
    kernels.pad(gradient, padded, ...grid, outChannels);
    kernels.convolve(padded, turnedFilter, inputGradient, ...grid, outChannels, inChannels);
  }

  #reserveGradients(): Gradients {
    const { memory, spec } = this;
    const { channels } = this.architecture;
    const coarsest = channels.length - 1;
    const blocks = [...spec.encoder, ...spec.decoder].flat();
    const widest = channels.map((_, stage) =>
      Math.max(...blocks.filter((b) => b.stage === stage).flatMap((b) => [b.inChannels, b.outChannels])),
    );
    const joints = channels.slice(0, coarsest);
    return {
      parameters: memory.reserve(spec.parameterSpan),
      travelling: widest.map((count, stage) => [
        memory.reserve(this.#stageVoxels(stage) * count),
        memory.reserve(this.#stageVoxels(stage) * count),
      ]),
      skip: joints.map((count, stage) => memory.reserve(this.#stageVoxels(stage) * count)),
      doubled: joints.map((_, stage) => memory.reserve(this.#stageVoxels(stage) * channels[stage + 1])),
      padded: memory.reserve(Math.max(...blocks.map((b) => this.#paddedVoxels(b.stage) * b.outChannels))),
      turnedFilter: memory.reserve(Math.max(...blocks.map((b) => b.filter.count))),
      logits: memory.reserve(this.voxels),
    };
  }

  #learning(): Gradients {
    if (this.#gradients === undefined) throw new TypeError('a network made for inference has no gradients');
    return this.#gradients;
  }

  #grid(stage: number): Grid {
    const [ni, nj, nk] = this.architecture.patch;
    return [nk >> stage, nj >> stage, ni >> stage];
  }

  #stageVoxels(stage: number): number {
    const [depth, height, width] = this.#grid(stage);
    return depth * height * width;
  }

  #paddedVoxels(stage: number): number {
    const [depth, height, width] = this.#grid(stage);
    return (depth + 2) * (height + 2) * (width + 2);
  }

  #weight({ offset }: { readonly offset: number }): Pointer {
    return this.#weights + offset * Float32Array.BYTES_PER_ELEMENT;
  }

  #gradient({ offset }: { readonly offset: number }): Pointer {
    return this.#learning().parameters + offset * Float32Array.BYTES_PER_ELEMENT;
  }
}
