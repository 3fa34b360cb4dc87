import { encodeOnnx, type OnnxNode } from '../../../training/engine/onnx-writer';

/**
 * A network that looks at single voxels, of any size: channel 0 is `level`, channel 1 the voxel's value. With argmax the organ is everything
 * above the level.
 */
export function aboveLevel(level: number): Buffer {
  const constant = (name: string, value: number) => ({ name, dims: [1], data: Float32Array.of(value) });
  const nodes: OnnxNode[] = [
    { type: 'Mul', inputs: ['image', 'zero'], output: 'nothing' },
    { type: 'Add', inputs: ['nothing', 'level'], output: 'background' },
    { type: 'Concat', inputs: ['background', 'image'], output: 'scores', attributes: { axis: 1 } },
  ];
  return Buffer.from(
    encodeOnnx({
      name: 'above-level',
      input: { name: 'image', dims: ['batch', 1, 'i', 'j', 'k'] },
      output: { name: 'scores', dims: ['batch', 2, 'i', 'j', 'k'] },
      nodes,
      initializers: [constant('zero', 0), constant('level', level)],
    }),
  );
}

/** Goes with {@link aboveLevel}. */
export function levelConfig(change: object = {}): Record<string, unknown> {
  const pred = { keys: 'pred' };
  return {
    version: '1',
    type: 'segmentation',
    labels: ['spleen'],
    description: 'Everything above a level',
    pre_transforms: [{ name: 'LoadImaged', args: { keys: 'image' } }],
    inference: {
      input: 'image',
      output: 'pred',
      meta_data: { padding: 20 },
      AIAA: { name: 'PyTorchInference', args: { scanning_window: true, roi: [8, 8, 8], overlap: 0.25 } },
    },
    post_transforms: [
      { name: 'AsDiscreted', args: { ...pred, argmax: true } },
      { name: 'BoundingBoxd', args: { ...pred, bbox: 'bbox' } },
    ],
    ...change,
  };
}
