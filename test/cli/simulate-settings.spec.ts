import assert from 'node:assert/strict';
import type { ClaraError } from '../../base/errors';
import { type SimulateInput, simulateSettings } from '../../cli/simulate/settings';

const INPUT: SimulateInput = {
  drop: '0',
  slow: '0',
  slowBy: '2s',
  attackers: '0',
  attack: 'sign-flip',
  attackScale: '4',
  workspace: 'x',
};
const PLAN = { name: 'try', trainer: { name: 'monai' }, rounds: 3 };

const faultsOf = (plan: object, input: Partial<SimulateInput> = {}): string[] => {
  try {
    simulateSettings(plan, { ...INPUT, ...input });
    return [];
  } catch (error) {
    return (error as ClaraError).faults.map(({ path }) => path);
  }
};

describe('what a simulation is made of', () => {
  it('numbers as many sites as were asked for, and has those that the plan names', () => {
    const { sites } = simulateSettings(PLAN, { ...INPUT, sites: '200' });
    assert.deepEqual([sites.length, sites[0], sites.at(-1)], [200, 'site-001', 'site-200']);
    assert.deepEqual([...sites].sort(), sites, 'in site order');
    const named = simulateSettings({ ...PLAN, cohort: ['northern', 'a'] }, INPUT);
    assert.deepEqual(named.sites, ['a', 'northern']);
    assert.deepEqual(faultsOf({ ...PLAN, cohort: ['northern', 'a'] }, { sites: '3' }), ['--sites']);
    assert.deepEqual(faultsOf({ ...PLAN, cohort: ['northern', 'a'] }, { sites: '2' }), []);
  });

  it('takes rounds and seed from the options before the plan', () => {
    const { plan } = simulateSettings({ ...PLAN, seed: 4 }, { ...INPUT, rounds: '7', seed: '9' });
    assert.deepEqual([plan.rounds, plan.seed], [7, 9]);
    assert.equal(simulateSettings({ ...PLAN, seed: 4 }, INPUT).plan.seed, 4);
  });

  it('trains phantoms for the reference trainer, and the convex problem for any other', () => {
    assert.equal(simulateSettings(PLAN, INPUT).dataset.kind, 'softmax');
    assert.equal(simulateSettings({ ...PLAN, trainer: { name: 'reference' } }, INPUT).dataset.kind, 'phantoms');
    assert.equal(simulateSettings(PLAN, { ...INPUT, dataset: './Task09_Spleen.tar' }).dataset.kind, 'decathlon');
  });

  it('takes the hostile sites from the end, where nobody makes the first weights', () => {
    const { attack } = simulateSettings(PLAN, { ...INPUT, sites: '5', attackers: '2' });
    assert.deepEqual(attack, { kind: 'sign-flip', scale: 4, sites: ['site-004', 'site-005'] });
    assert.deepEqual(faultsOf(PLAN, { sites: '2', attackers: '2' }), ['--attackers']);
  });

  it('is refused whole: options, plan, number of sites and parameters of the trainer together', () => {
    const plan = {
      ...PLAN,
      trainer: { name: 'x', parameters: { learningRate: -1, colour: 1 } },
      strategy: { name: 'krum', f: 10 },
      initialModel: { from: 'registry', model: 'm', version: 1 },
    };
    const found = faultsOf(plan, { sites: '20', drop: '2', skew: 'much', slowBy: 'long' });
    const [parameters, others] = [
      found.filter((at) => at.startsWith('trainer.')),
      found.filter((at) => !at.startsWith('trainer.')),
    ];
    assert.deepEqual(parameters.sort(), ['trainer.parameters.colour', 'trainer.parameters.learningRate']);
    assert.deepEqual(new Set(others), new Set(['--skew', '--drop', '--slow-by', 'cohort', 'initialModel.from']));
    assert.deepEqual(
      new Set(faultsOf({ name: 'A B', rounds: 0 }, { drop: '-1' })),
      new Set(['--drop', 'name', 'rounds', 'trainer']),
    );
    assert.deepEqual(faultsOf(PLAN, { dataset: 'folder', skew: '1' }), ['--skew']);
  });
});
