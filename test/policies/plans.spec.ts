import assert from 'node:assert/strict';
import path from 'node:path';
import { RULES } from '../../policies/rules';
import { type Analyzer, startAnalyzer } from '../engine/analyzer';
import { MUTATIONS, mutated } from './mutations';
import { deployableStacks, planOf } from './plans';

/** One pack, started as the engine starts it, is asked about all plans. */
describe('policy pack on the plans of all stacks', () => {
  let pack: Analyzer;

  before(async () => {
    pack = await startAnalyzer(path.resolve(__dirname, '../../policies'));
  });

  after(() => pack?.close());

  it('serves every rule', () => {
    assert.deepEqual(
      pack.policies,
      RULES.map(({ name }) => name),
    );
  });

  for (const stack of deployableStacks()) {
    it(`finds nothing in ${stack}`, async () => {
      const found = await pack.analyze((await planOf(stack)).resources);
      const lines = found
        .filter(({ level }) => level !== 'advisory')
        .map(({ policy, message }) => `${policy}: ${message}`);
      assert.deepEqual(lines, []);
    });
  }

  for (const mutation of MUTATIONS) {
    const { policy, of, set, named, at = of } = mutation;
    it(`finds ${of} ${named?.source ?? ''} with ${set[0]} = ${JSON.stringify(set[1]) ?? 'nothing'}`, async function () {
      // Production is where everything holds.
      for (const stack of deployableStacks().filter((name) => name.startsWith('prod'))) {
        const plan = await planOf(stack);
        const { resources, broken } = mutated(plan.resources, mutation);
        if (broken.length === 0) continue;
        const found = (await pack.analyze(resources)).filter((violation) => violation.policy === policy);
        const expected = at === of ? broken : plan.resources.filter(({ type }) => type === at);
        const missed = expected.filter(({ urn }) => !found.some((violation) => violation.urn === urn));
        assert.deepEqual(
          missed.map(({ urn }) => urn),
          [],
          `${policy} did not find it in ${stack}`,
        );
        return;
      }
      // A type that no stack makes yet is not covered, and says so; a name that nothing has any more is a mistake here.
      const plans = await Promise.all(deployableStacks().map(planOf));
      const hasType = plans.some((plan) => plan.resources.some(({ type }) => type === of));
      assert.ok(!hasType, `no plan has a resource ${of} ${named ?? ''}; a mutation of nothing shows nothing`);
      console.log(`      no stack makes a ${of} yet`);
      this.skip();
    });
  }

  it('says nothing about values that only the cloud will know, and everything else', async () => {
    const [stack] = deployableStacks();
    const { planStack } = await import('../engine/plan');
    const preview = await planStack({ root: path.resolve(__dirname, '../..'), stack, mode: 'preview' });
    assert.deepEqual(await pack.analyze(preview.resources), []);
    const { resources, broken } = mutated(preview.resources, MUTATIONS[0]);
    assert.ok(broken.length > 0);
    const found = await pack.analyze(resources);
    assert.ok(found.some(({ policy, level }) => policy === MUTATIONS[0].policy && level === 'mandatory'));
  });
});
