import assert from 'node:assert/strict';
import { type DecathlonList, divideCases } from '../../imaging/decathlon';

const DATASET: DecathlonList = {
  name: 'Spleen',
  description: '',
  modality: { '0': 'CT' },
  labels: { '0': 'background', '1': 'spleen' },
  training: ['a', 'b', 'c', 'd', 'e'].map((id) => ({ id, image: `${id}.nii`, label: `${id}-label.nii` })),
  validation: [],
  test: [],
};

describe('dividing cases', () => {
  it('refuses a site that is named twice', () => {
    const message = /cannot be divided among x, y, x: name every site once/;
    assert.throws(() => divideCases(DATASET, ['x', 'y', 'x'], 1, 0), { code: 'invalid-input', message });
  });

  it('refuses to hold out part of a case or fewer than none', () => {
    for (const heldOut of [-1, 0.5, Number.NaN]) {
      const message = /cases cannot be held out of a site: use a whole number/;
      assert.throws(() => divideCases(DATASET, ['x'], 1, heldOut), { code: 'invalid-input', message });
    }
  });
});
