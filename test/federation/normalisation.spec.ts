import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hasCode } from '../../base/errors';
import { NORMALISATION_RULES, NORMALISATION_STATISTICS } from '../../federation/normalisation';
import { checkPlan } from '../../federation/plan';
import { firstTensors, isKeptBy, keptTensors, localTensors } from '../../federation/sent-tensors';

const minimal = { name: 'spleen', trainer: { name: 'reference' }, rounds: 1 };

describe('statistics of batch normalisation', () => {
  it('are told by the last part of a name, whatever stands before it', () => {
    const last = fc.constantFrom(
      'running_mean',
      'running_var',
      'num_batches_tracked',
      'moving_mean',
      'moving_variance',
    );
    const before = fc.array(fc.stringMatching(/^[a-z0-9]{1,8}$/), { maxLength: 4 });
    fc.assert(
      fc.property(
        before,
        last,
        fc.constantFrom('.', '/', '_'),
        fc.stringMatching(/^[a-z]{1,5}$/),
        (parts, end, mark, more) => {
          const name = [...parts, end].join(mark);
          assert.ok(NORMALISATION_STATISTICS.test(name), name);
          for (const other of [`${name}.${more}`, `${name}${more}`, `${parts.join('.')}${more}${end}`]) {
            assert.ok(!NORMALISATION_STATISTICS.test(other), other);
          }
        },
      ),
    );
    for (const name of ['bn.weight', 'bn.bias', 'mean', 'running', 'bn1.running_means']) {
      assert.ok(!NORMALISATION_STATISTICS.test(name), name);
    }
  });

  it('are averaged, taken from the first, or kept at each site, and nothing else is touched by that', () => {
    const told = NORMALISATION_RULES.map((normalisationStatistics) => {
      const plan = checkPlan({ ...minimal, excludedTensors: ['^x'], normalisationStatistics });
      const matches = (patterns: readonly RegExp[]) => patterns.some((pattern) => pattern.test('bn.running_var'));
      assert.ok(isKeptBy(plan)('x.weight') && !isKeptBy(plan)('bn.weight'));
      assert.equal(isKeptBy(plan)('bn.running_var'), matches(keptTensors(plan)));
      return [matches(keptTensors(plan)), matches(localTensors(plan)), matches(firstTensors(plan))];
    });
    assert.deepEqual(told, [
      [false, false, false],
      [false, false, true],
      [true, true, false],
    ]);
  });

  it('are no matter of a run that counts images', () => {
    try {
      checkPlan({ ...minimal, statistics: {}, normalisationStatistics: 'keep-local' });
      assert.fail('it is refused');
    } catch (error) {
      assert.ok(hasCode(error, 'invalid-input'));
      assert.match(error.message, /normalisationStatistics .*does not go with statistics/);
    }
  });
});
