import assert from 'node:assert/strict';
import { checkPlan } from '../../../federation/plan';
import { statisticsOf } from '../../../fl-coordinator/api/received-statistics';

const plan = checkPlan({ name: 's', rounds: 1, trainer: { name: 't' }, statistics: { bins: 2 } });
const variable = { name: 'intensity', unit: 'HU', low: -1024, high: 3072, shares: [0, 1, 2, 0], suppressedBins: 0 };
const judge = (document: unknown) =>
  statisticsOf(typeof document === 'string' ? document : JSON.stringify(document), { plan });

describe('statistics that arrive', () => {
  it('are taken in the bins and ranges of the plan, with noise or suppressed as well', () => {
    for (const fine of [
      { cases: 3, variables: [variable] },
      { epsilon: 1, variables: [{ ...variable, shares: [-5, 1, 2, 0] }] },
      { suppressed: 'too few', variables: [] },
    ]) {
      const told = judge(fine);
      assert.ok(told.success, JSON.stringify(told));
      assert.deepEqual(told.statistics, fine);
    }
  });

  const exact = { counts: [0, 1, 2], mean: 0, m2: 0, minimum: 0, maximum: 0 };
  for (const [what, document, says] of [
    ['no JSON', '{', /not JSON/],
    ['too long', ' '.repeat(2 ** 21), /characters/],
    ['another number of bins', { variables: [{ ...variable, shares: [1, 2, 3] }] }, /intensity is not in the 2 bins/],
    ['another number of bins beside', { variables: [{ ...variable, exact }] }, /intensity is not in the 2 bins/],
    ['another range', { variables: [{ ...variable, high: 4000 }] }, /ranges/],
    ['a name that is none', { variables: [{ ...variable, name: 'Smith, John' }] }, /name/],
    ['too many variables', { variables: Array.from({ length: 65 }, () => variable) }, /variables/],
    ['a number that is none', { variables: [{ ...variable, shares: [0, null, 1, 2] }] }, /shares/],
  ] as const) {
    it(`are refused with ${what}`, () => {
      const told = judge(document);
      assert.equal(told.success, false);
      assert.match((told as { reason: string }).reason, says);
    });
  }
});
