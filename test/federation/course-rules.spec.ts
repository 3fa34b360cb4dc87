import assert from 'node:assert/strict';
import { ClaraError } from '../../base/errors';
import { checkPlan, type PlanInput } from '../../federation/plan';
import { checkSiteConfiguration } from '../../fl-site/configuration';
import { answerProposal } from '../../fl-site/policy';

const MINIMAL = { name: 'spleen', trainer: { name: 'reference' }, rounds: 5 } as const;

function faultsOf(plan: Partial<PlanInput>): string[] {
  try {
    checkPlan({ ...MINIMAL, ...plan });
    return [];
  } catch (error) {
    assert.ok(error instanceof ClaraError);
    return error.faults.map(({ path }) => path).sort();
  }
}

describe('the course of a plan', () => {
  const four = ['a', 'b', 'c', 'd'];
  const buffer = { size: 2 };
  for (const [what, plan, paths] of [
    ['a sample larger than its sites', { cohort: { sample: 5, from: four } }, ['cohort.sample']],
    ['a sampled site that is named twice', { cohort: { sample: 1, from: ['a', 'a'] } }, ['cohort.from.1']],
    ['a quorum above the sample', { cohort: { sample: 2 }, quorum: 3 }, ['quorum']],
    ['a median of a sample of two', { cohort: { sample: 2 }, strategy: 'median' }, ['cohort']],
    [
      'a mandatory site outside the cohort',
      { cohort: four, mandatory: ['e', 'a', 'a'] },
      ['mandatory.0', 'mandatory.2'],
    ],
    ['more mandatory sites than are drawn', { cohort: { sample: 1 }, mandatory: ['a', 'b'] }, ['mandatory']],
    ['late updates with a quorum of all', { lateUpdates: 'next-round' }, ['lateUpdates']],
    ['late updates in a median', { quorum: 3, lateUpdates: 'next-round', strategy: 'median' }, ['strategy.combiner']],
    [
      'late updates with control variates',
      { quorum: 3, lateUpdates: 'next-round', strategy: 'scaffold' },
      ['strategy.clientRule'],
    ],
    ['a buffer that is not described', { quorum: 1, lateUpdates: 'buffer' }, ['buffer']],
    ['a buffer that nothing fills', { buffer }, ['buffer']],
    ['an asynchronous run without a buffer', { mode: 'asynchronous' }, ['buffer']],
    ['an asynchronous run of samples', { mode: 'asynchronous', buffer, cohort: { sample: 2 } }, ['cohort.sample']],
    ['an asynchronous run that waits for a site', { mode: 'asynchronous', buffer, mandatory: ['a'] }, ['mandatory']],
    ['an asynchronous median', { mode: 'asynchronous', buffer, strategy: 'median' }, ['strategy.combiner']],
    ['a quorum above the buffer', { mode: 'asynchronous', buffer, quorum: 3 }, ['quorum']],
    [
      'comparisons of asynchronous rounds',
      { mode: 'asynchronous', buffer, evaluation: { siteModels: true, crossSite: true } },
      ['evaluation.crossSite', 'evaluation.siteModels'],
    ],
    ['late updates of a cyclic run', { mode: 'cyclic', quorum: 1, lateUpdates: 'next-round' }, ['lateUpdates']],
    [
      'a combination in a cyclic run',
      { mode: 'cyclic', strategy: 'median', siteWeights: { a: 2 } },
      ['siteWeights', 'siteWeights', 'strategy'],
    ],
    [
      'an early stop that nothing is judged for',
      { earlyStop: { metric: 'dice', patience: 2 }, evaluation: { everyRound: false } },
      ['earlyStop'],
    ],
    ['a budget of nothing', { budget: {} }, ['budget']],
  ] as const) {
    it(`refuses ${what}`, () => assert.deepEqual(faultsOf(plan as Partial<PlanInput>), [...paths]));
  }

  it('is accepted where nothing speaks against it', () => {
    checkPlan({
      ...MINIMAL,
      cohort: { sample: 2, from: four },
      quorum: 1,
      mandatory: ['c'],
      lateUpdates: 'next-round',
    });
    checkPlan({ ...MINIMAL, quorum: 2, lateUpdates: 'buffer', buffer, strategy: 'fedadam' });
    checkPlan({ ...MINIMAL, mode: 'asynchronous', buffer, quorum: 1, strategy: 'fednova' });
    checkPlan({
      ...MINIMAL,
      mode: 'cyclic',
      cohort: { sample: 2 },
      mandatory: ['a'],
      evaluation: { siteModels: true },
    });
    const { cohort } = checkPlan({ ...MINIMAL, cohort: { sample: 2 } });
    assert.deepEqual(cohort, { sample: 2, from: 'all' });
  });

  it('is judged by each site: few contributors are few, whatever the mode', () => {
    const site = checkSiteConfiguration(
      {
        id: 'a',
        coordinator: 'localhost:1',
        credentials: 'c',
        workspace: 'w',
        dataset: { kind: 'none' },
        trainer: { name: 'reference', adapter: 'reference' },
        limits: { minimumCohort: 3 },
      },
      '/',
    );
    const answer = (plan: Partial<PlanInput>) =>
      answerProposal(JSON.stringify(checkPlan({ ...MINIMAL, ...plan })), site);
    const reasonOf = (plan: Partial<PlanInput>) => (answer(plan) as { reason?: string }).reason ?? '';
    assert.match(reasonOf({ cohort: { sample: 2, from: four } }), /as few as 2 updates/);
    assert.equal(answer({ cohort: { sample: 3, from: four } }).approved, true);
    assert.match(reasonOf({ mode: 'asynchronous', buffer: { size: 4 }, cohort: four }), /as few as 1 update/);
    assert.match(reasonOf({ mode: 'cyclic', cohort: four }), /as few as 1 update/);
    assert.match(reasonOf({ cohort: { sample: 3, from: ['b', 'c', 'd'] } }), /cohort does not name a/);
  });
});
