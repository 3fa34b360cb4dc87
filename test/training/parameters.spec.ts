import assert from 'node:assert/strict';
import { ClaraError } from '../../base/errors';
import { ENGINE_ID } from '../../training/engine/model-card';
import { UNet } from '../../training/engine/unet';
import { assertParametersFit, labelValueOf, newModelCard, parseParameters } from '../../training/trainer/parameters';

function faultPaths(act: () => unknown): string[] {
  try {
    act();
  } catch (error) {
    if (error instanceof ClaraError) return error.faults.map(({ path }) => path).sort();
    throw error;
  }
  return [];
}

describe('trainer parameters', () => {
  it('may all be left out: the recipe fills them in, and its network can be built', () => {
    const parameters = parseParameters({ kind: 'initialise', parameters: {} });
    const card = newModelCard(parameters);
    assert.equal(card.engine, ENGINE_ID);
    assert.equal(labelValueOf(parameters), 1);
    assert.equal(
      new UNet(card, 'inference').spec.parameters.reduce((sum, { count }) => sum + count, 0),
      365_537,
    );
  });

  it('make the card of a new model', () => {
    const label = { value: 3, name: 'liver' };
    const window = { low: -50, high: 150 };
    const stated = { name: 'liver_net', description: 'x', label, window, channels: [16, 8], patch: [4, 2, 6] };
    const parameters = parseParameters({ kind: 'initialise', parameters: { ...stated, spacing: [1, 2, 3] } });
    assert.deepEqual(newModelCard(parameters), {
      engine: ENGINE_ID,
      name: 'liver_net',
      description: 'x',
      labels: ['liver'],
      channels: [16, 8],
      patch: [4, 2, 6],
      spacing: [1, 2, 3],
      window,
    });
    assert.equal(labelValueOf(parameters), 3);
  });

  it('are refused with every fault at once', () => {
    const parameters = {
      batch: 0,
      overlap: 1,
      learningRate: -1,
      window: { low: 5, high: 5 },
      patch: [40, 41, 24],
      lr: 1,
    };
    assert.deepEqual(
      faultPaths(() => parseParameters({ kind: 'initialise', parameters })),
      ['batch', 'learningRate', 'lr', 'overlap', 'patch.1', 'window'],
    );
  });

  it('of a training task are measured against the model, not against the defaults', () => {
    const card = newModelCard(
      parseParameters({ kind: 'initialise', parameters: { channels: [8, 8], patch: [2, 4, 6] } }),
    );
    const same = parseParameters({
      kind: 'train',
      parameters: { patch: [2, 4, 6], label: { value: 2, name: 'spleen' } },
    });
    assertParametersFit(same, card);
    const other = parseParameters({ kind: 'train', parameters: { patch: [4, 4, 6], spacing: [1, 1, 1] } });
    assert.deepEqual(
      faultPaths(() => assertParametersFit(other, card)),
      ['patch', 'spacing'],
    );
  });
});
