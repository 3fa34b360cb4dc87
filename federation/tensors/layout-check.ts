import { type Fault, showValue } from '../../base/errors';
import type { TensorLayout, TensorSpec } from './layout';

type Comparable = Pick<TensorLayout, 'tensors'> | { readonly tensors: readonly TensorSpec[] };

/**
 * Where `actual` (an update) differs from `expected` (the model that it updates): tensors that are missing or unknown, or
 * have another shape or dtype. The order of the tensors in the files and their metadata do not matter.
 */
export function compareLayouts(expected: Comparable, actual: Comparable): Fault[] {
  const found = new Map(actual.tensors.map((tensor) => [tensor.name, tensor]));
  const known = new Set(expected.tensors.map((tensor) => tensor.name));
  const faults: Fault[] = [];
  for (const wanted of expected.tensors) {
    const tensor = found.get(wanted.name);
    if (tensor === undefined) faults.push({ path: wanted.name, rule: 'is missing; the model has this tensor' });
    else faults.push(...differences(wanted, tensor));
  }
  for (const { name } of actual.tensors) {
    if (!known.has(name)) faults.push({ path: name, rule: 'is unknown; the model has no such tensor' });
  }
  return faults;
}

function differences(wanted: TensorSpec, found: TensorSpec): Fault[] {
  const faults: Fault[] = [];
  const sameShape =
    wanted.shape.length === found.shape.length && wanted.shape.every((size, axis) => size === found.shape[axis]);
  if (!sameShape) {
    const rule = `must have the shape ${showValue(wanted.shape)} of the model`;
    faults.push({ path: wanted.name, value: `shape ${showValue(found.shape)}`, rule });
  }
  if (wanted.dtype !== found.dtype) {
    const rule = `must have the dtype ${wanted.dtype} of the model`;
    faults.push({ path: wanted.name, value: `dtype ${found.dtype}`, rule });
  }
  return faults;
}
