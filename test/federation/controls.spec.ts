import assert from 'node:assert/strict';
import { ClaraError } from '../../base/errors';
import { controlsOf, isControl, withControls } from '../../federation/controls';
import type { TensorSpec } from '../../federation/tensors/layout';

const MODEL: { tensors: readonly TensorSpec[] } = {
  tensors: [
    { name: 'enc.w', dtype: 'F32', shape: [2, 3] },
    { name: 'bn.count', dtype: 'I64', shape: [] },
    { name: 'enc.b', dtype: 'F16', shape: [2] },
  ],
};

describe('control variates', () => {
  it('are the floating-point tensors of the model, in its order', () => {
    assert.deepEqual(controlsOf(MODEL), [MODEL.tensors[0], MODEL.tensors[2]]);
  });

  it('follow the model in an update, under names that no model may have', () => {
    const { tensors } = withControls(MODEL);
    assert.deepEqual(
      tensors.map(({ name }) => name),
      ['enc.w', 'bn.count', 'enc.b', 'scaffold-control/enc.w', 'scaffold-control/enc.b'],
    );
    assert.deepEqual(
      tensors.map(({ name }) => isControl(name)),
      [false, false, false, true, true],
    );
    assert.throws(
      () => withControls({ tensors }),
      (error: unknown) => error instanceof ClaraError && error.faults.length === 2,
    );
  });
});
