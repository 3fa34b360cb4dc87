import { ClaraError, type Fault } from '../../base/errors';
import { seededRandom } from '../../base/random';
import type { Tensor } from '../../federation/tensors/file';
import type { NetworkSpec } from './architecture';

/** All parameters of a network in one array, laid out by its {@link NetworkSpec}; gaps are zero. */
export type Weights = Float32Array;

/** The organ is rare: the first guess is about 12 % everywhere instead of 50 %, which saves the first steps. */
const INITIAL_HEAD_BIAS = -2;

/**
 * Weights to start from: filters after He et al. (2015), normalisation as identity. The same seed gives the same weights.
 */
export function initialWeights(spec: NetworkSpec, seed: number): Weights {
  const random = seededRandom(seed);
  const weights = new Float32Array(spec.parameterSpan);
  for (const { role, shape, count, offset } of spec.parameters) {
    const values = weights.subarray(offset, offset + count);
    if (role === 'scale') values.fill(1);
    if (role === 'head bias') values.fill(INITIAL_HEAD_BIAS);
    if (role !== 'filter' && role !== 'head weight') continue;
    const fanIn = role === 'filter' ? 27 * shape[3] : shape[0];
    const deviation = Math.sqrt(2 / fanIn);
    for (let i = 0; i < count; i++) values[i] = deviation * random.normal();
  }
  return weights;
}

/** The parameters as named tensors; `prefix` tells several sets in one file apart. */
export function tensorsOf(spec: NetworkSpec, weights: Weights, prefix = ''): Tensor[] {
  return spec.parameters.map(({ name, shape, count, offset }) => ({
    name: prefix + name,
    dtype: 'F32',
    shape,
    data: weights.slice(offset, offset + count),
  }));
}

/**
 * The opposite of {@link tensorsOf}.
 *
 * @param what the file, for messages
 * @throws ClaraError invalid-input that lists every missing, unknown, misshapen or non-finite tensor
 */
export function weightsOf(spec: NetworkSpec, tensors: ReadonlyMap<string, Tensor>, what: string, prefix = ''): Weights {
  const faults: Fault[] = [];
  const weights = new Float32Array(spec.parameterSpan);
  const known = new Set<string>();
  for (const { name, shape, offset } of spec.parameters) {
    known.add(prefix + name);
    const tensor = tensors.get(prefix + name);
    const expected = `F32 ${JSON.stringify(shape)}`;
    if (tensor === undefined) {
      faults.push({ path: prefix + name, rule: `is missing; the network has it as ${expected}` });
      continue;
    }
    const found = `${tensor.dtype} ${JSON.stringify(tensor.shape)}`;
    if (found !== expected || !(tensor.data instanceof Float32Array)) {
      faults.push({ path: tensor.name, value: found, rule: `must be ${expected}` });
    } else if (!tensor.data.every(Number.isFinite)) {
      faults.push({ path: tensor.name, rule: 'must hold finite numbers only' });
    } else {
      weights.set(tensor.data, offset);
    }
  }
  for (const name of tensors.keys()) {
    if (name.startsWith(prefix) && !known.has(name)) {
      faults.push({ path: name, rule: 'is not a tensor of this network; remove it' });
    }
  }
  if (faults.length > 0) throw ClaraError.ofFaults(what, faults);
  return weights;
}
