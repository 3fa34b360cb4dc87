import assert from 'node:assert/strict';
import { showFault } from '../../base/errors';
import type { TensorSpec } from '../../federation/tensors/layout';
import { compareLayouts } from '../../federation/tensors/layout-check';

const weight: TensorSpec = { name: 'enc0.w', dtype: 'F32', shape: [8, 1, 3] };
const bias: TensorSpec = { name: 'enc0.b', dtype: 'F32', shape: [8] };
const compare = (expected: TensorSpec[], actual: TensorSpec[]): string[] =>
  compareLayouts({ tensors: expected }, { tensors: actual }).map(showFault);

describe('layout of an update against its model', () => {
  it('finds nothing when the tensors are the same in another order', () => {
    assert.deepEqual(compare([weight, bias], [bias, { ...weight, shape: [8, 1, 3] }]), []);
  });

  it('names tensors that are missing or unknown', () => {
    assert.deepEqual(compare([weight, bias], [weight, { ...bias, name: 'enc0.bias' }]), [
      'enc0.b: is missing; the model has this tensor',
      'enc0.bias: is unknown; the model has no such tensor',
    ]);
  });

  it('names a tensor of another shape or dtype with what it has and should have', () => {
    assert.deepEqual(
      compare(
        [weight, bias],
        [
          { ...weight, dtype: 'F16', shape: [8, 3, 1] },
          { ...bias, shape: [] },
        ],
      ),
      [
        'enc0.w (shape [8,3,1]): must have the shape [8,1,3] of the model',
        'enc0.w (dtype F16): must have the dtype F32 of the model',
        'enc0.b (shape []): must have the shape [8] of the model',
      ],
    );
  });
});
