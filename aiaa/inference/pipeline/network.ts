import type { Shape3 } from '../../../imaging/volume';

/** A network with one input and one output. Arrays are as MONAI has them: channels first, then i, j, k, with k fastest. */
export interface Network {
  /** What each axis of the input has to be, where the network says so; null: anything. */
  readonly inputShape: readonly [number | null, number | null, number | null];
  run(input: Float32Array, shape: Shape3): Promise<NetworkOutput>;
}

export interface NetworkOutput {
  readonly channels: number;
  /** `channels` times the voxels of the input. */
  readonly values: Float32Array;
}
