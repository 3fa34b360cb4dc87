import { type BlockSpec, networkSpec, type ParameterSpec } from './architecture';
import type { ModelCard } from './model-card';
import type { Model } from './model-file';
import { encodeOnnx, type OnnxInitializer, type OnnxNode } from './onnx-writer';
import { networkValue } from './preprocessing';
import { SLOPE } from './unet';

/** What the kernels add to a variance. */
const EPSILON = 1e-5;

/**
 * The network of a model as an .onnx file, for other programs: one float tensor [1, 1, i, j, k] in, as big as the card's patch, and the logits
 * [1, 1, i, j, k] out. What the card says of preprocessing is in {@link aiaaConfigOf}, not in the network.
 */
export function exportOnnx({ card, weights }: Model): Uint8Array {
  const spec = networkSpec(card.channels);
  const nodes: OnnxNode[] = [];
  const initializers: OnnxInitializer[] = [];
  const valuesOf = ({ offset, count }: ParameterSpec) => weights.slice(offset, offset + count);
  const bring = (name: string, dims: readonly number[], data: Float32Array): string => {
    initializers.push({ name, dims, data });
    return name;
  };
  const add = (type: string, inputs: readonly string[], attributes?: OnnxNode['attributes']): string => {
    const output = `${type}_${nodes.length}`;
    nodes.push({ type, inputs, output, attributes });
    return output;
  };
  const block = (input: string, part: BlockSpec): string => {
    const { filter, scale, shift, inChannels, outChannels } = part;
    const kernel = bring(
      filter.name,
      [outChannels, inChannels, 3, 3, 3],
      turned(valuesOf(filter), inChannels, outChannels),
    );
    const scales = bring(scale.name, scale.shape, valuesOf(scale));
    const shifts = bring(shift.name, shift.shape, valuesOf(shift));
    const convolved = add('Conv', [input, kernel], { kernel_shape: [3, 3, 3], pads: [1, 1, 1, 1, 1, 1] });
    const normalised = add('InstanceNormalization', [convolved, scales, shifts], { 'epsilon.f': EPSILON });
    return add('LeakyRelu', [normalised], { 'alpha.f': SLOPE });
  };

  let value = 'image';
  const skips: string[] = [];
  for (const [stage, [first, second]] of spec.encoder.entries()) {
    if (stage > 0) value = add('MaxPool', [value], { kernel_shape: [2, 2, 2], strides: [2, 2, 2] });
    value = block(block(value, first), second);
    skips.push(value);
  }
  const doubling = bring('doubling', [5], Float32Array.of(1, 1, 2, 2, 2));
  for (let stage = spec.decoder.length - 1; stage >= 0; stage -= 1) {
    const [first, second] = spec.decoder[stage];
    const how = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
    const doubled = add('Resize', [value, '', doubling], how);
    value = block(block(add('Concat', [skips[stage], doubled], { axis: 1 }), first), second);
  }
  const head = bring('head.weight', [1, card.channels[0], 1, 1, 1], valuesOf(spec.headWeight));
  const bias = bring('head.bias', [1], valuesOf(spec.headBias));
  nodes.push({ type: 'Conv', inputs: [value, head, bias], output: 'logits', attributes: { kernel_shape: [1, 1, 1] } });

  const dims = [1, 1, ...card.patch];
  return encodeOnnx({
    name: card.name,
    input: { name: 'image', dims },
    output: { name: 'logits', dims },
    nodes,
    initializers,
  });
}

/** From [k][j][i][in][out], as the kernels have a filter, to [out][in][i][j][k]. */
function turned(filter: Float32Array, inChannels: number, outChannels: number): Float32Array {
  const result = new Float32Array(filter.length);
  let from = 0;
  for (let k = 0; k < 3; k += 1) {
    for (let j = 0; j < 3; j += 1) {
      for (let i = 0; i < 3; i += 1) {
        for (let input = 0; input < inChannels; input += 1) {
          for (let output = 0; output < outChannels; output += 1, from += 1) {
            result[(((output * inChannels + input) * 3 + i) * 3 + j) * 3 + k] = filter[from];
          }
        }
      }
    }
  }
  return result;
}

/**
 * A config_aiaa.json that does around the exported network what the engine does around its own, but for two details: the engine fills up what is
 * beyond a volume with air, MONAI's sliding window with zeros; and their grids of other spacings differ by less than a voxel.
 */
export function aiaaConfigOf(card: ModelCard, version: string): object {
  const image = { keys: 'image' };
  const logits = { keys: 'logits' };
  return {
    version,
    type: 'segmentation',
    labels: card.labels,
    description: card.description,
    pre_transforms: [
      { name: 'LoadImaged', args: image },
      { name: 'EnsureChannelFirstd', args: image },
      { name: 'Orientationd', args: { ...image, axcodes: 'RAS' } },
      { name: 'Spacingd', args: { ...image, pixdim: card.spacing, mode: 'bilinear' } },
      {
        name: 'ScaleIntensityRanged',
        args: {
          ...image,
          a_min: card.window.low,
          a_max: card.window.high,
          b_min: networkValue(0),
          b_max: networkValue(1),
          clip: true,
        },
      },
    ],
    inference: {
      input: 'image',
      output: 'logits',
      AIAA: {
        name: 'PyTorchInference',
        args: { scanning_window: true, roi: card.patch, overlap: 0.25, batch_size: 1 },
      },
    },
    post_transforms: [
      { name: 'Activationsd', args: { ...logits, sigmoid: true } },
      { name: 'Restored', args: { ...logits, ref_image: 'image', mode: 'bilinear' } },
      { name: 'AsDiscreted', args: { ...logits, threshold: 0.5 } },
      { name: 'ExtremePointsd', args: { ...logits, result: 'result', points: 'points' } },
    ],
    writer: { name: 'Writer', args: { image: 'logits', json: 'result' } },
  };
}
