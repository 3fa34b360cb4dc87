import assert from 'node:assert/strict';
import type { ClaraError } from '../../base/errors';
import { checkPlan, type PlanInput } from '../../federation/plan';
import { leftOut, withoutTensors } from '../../federation/sent-tensors';
import type { TensorSpec } from '../../federation/tensors/layout';
import { transferFaults } from '../../fl-coordinator/runs/transfer-faults';

const FROM = { from: 'registry', model: 'spleen', version: 3 } as const;
const planOf = (more: Partial<PlanInput>) =>
  checkPlan({ name: 'liver', trainer: { name: 'reference' }, rounds: 1, ...more });
const faultsOf = (more: object): string[] => {
  try {
    planOf(more);
  } catch (error) {
    return (error as ClaraError).faults.map(({ path }) => path);
  }
  return [];
};
const MODEL: { tensors: TensorSpec[] } = {
  tensors: ['encoder.w', 'encoder.b', 'head.w'].map((name) => ({ name, dtype: 'F32', shape: [2] })),
};

describe('a plan that starts from a registered model', () => {
  it('names a version, and what of it is made anew or frozen', () => {
    const plan = planOf({ initialModel: { ...FROM, reinitialise: ['^head'] }, frozenTensors: ['^encoder'] });
    assert.deepEqual(plan.initialModel, { ...FROM, reinitialise: ['^head'] });
    assert.deepEqual(planOf({ initialModel: FROM }).initialModel, FROM);
  });

  it('is refused with every fault', () => {
    assert.deepEqual(faultsOf({ initialModel: { ...FROM, version: 0, reinitialise: ['('] }, frozenTensors: ['['] }), [
      'initialModel.version',
      'initialModel.reinitialise.0',
      'frozenTensors.0',
    ]);
    assert.deepEqual(faultsOf({ initialModel: { ...FROM, model: '../x' } }), ['initialModel.model']);
    assert.deepEqual(faultsOf({ initialModel: { ...FROM, reinitialise: [] } }), ['initialModel.reinitialise']);
    assert.deepEqual(faultsOf({ frozenTensors: ['.'] }), ['frozenTensors'], 'random weights are nothing to freeze');
    assert.deepEqual(faultsOf({ frozenTensors: ['.'], rounds: 0 }), ['rounds', 'frozenTensors']);
  });

  it('is judged against the tensors of the model', () => {
    const judged = (reinitialise: string[] | undefined, frozenTensors: string[], excludedTensors: string[] = []) =>
      transferFaults(planOf({ initialModel: { ...FROM, reinitialise }, frozenTensors, excludedTensors }), MODEL).map(
        ({ path }) => path,
      );
    assert.deepEqual(judged(['^head'], ['^encoder']), []);
    assert.deepEqual(judged(['^tail'], ['^encoder', 'decoder']), ['frozenTensors.1', 'initialModel.reinitialise.0']);
    assert.deepEqual(judged(['w$'], ['^encoder']), ['frozenTensors'], 'encoder.w would stay random');
    assert.deepEqual(judged(undefined, ['.']), ['frozenTensors'], 'nothing would be trained');
    assert.deepEqual(judged(undefined, ['^encoder'], ['^head']), ['frozenTensors'], 'nothing would be trained');
  });

  it('has updates without frozen tensors, but whole ones where they are judged or carry control variates', () => {
    const sent = (more: Partial<PlanInput>) => {
      const plan = planOf({ initialModel: FROM, frozenTensors: ['^encoder'], ...more });
      return withoutTensors(MODEL, leftOut(plan)).tensors.map(({ name }) => name);
    };
    assert.deepEqual(sent({}), ['head.w']);
    assert.equal(sent({ strategy: 'scaffold' }).length, 3);
    assert.equal(sent({ evaluation: { crossSite: true } }).length, 3);
    assert.equal(sent({ frozenTensors: [], excludedTensors: ['^encoder'] }).length, 3);
  });
});
