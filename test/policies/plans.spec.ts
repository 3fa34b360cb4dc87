import assert from 'node:assert/strict';
import path from 'node:path';
import { stackNames } from '../../fleet/project-files';
import { RULES } from '../../policies/rules';
import { type Analyzer, startAnalyzer } from '../engine/analyzer';
import { planOf, ROOT } from '../stacks/plans';
import { MUTATIONS, mutated } from './mutations';

const STACKS = stackNames(ROOT).sort();
/** Whether a rule looks at resources one by one, or at a stack as a whole: only that question is asked about a broken plan. */
const LOOKS_AT_STACKS = new Set(RULES.filter((rule) => 'checkStack' in rule).map(({ name }) => name));

/** What a stack's configuration asks for against a rule; whoever deploys it sets the rule to advisory. */
const ON_PURPOSE: Readonly<Record<string, readonly string[]>> = {
  // De-identified data of development, in plain HTTP: insecureHttp.
  'dev-st-marys': ['tls-only'],
};

/** One pack, started as the engine starts it, is asked about all plans. */
describe('policy pack on the plans of all stacks', () => {
  let pack: Analyzer;

  before(async () => {
    pack = await startAnalyzer(path.join(ROOT, 'policies'));
  });

  after(() => pack?.close());

  it('serves every rule', () => {
    assert.deepEqual(
      pack.policies,
      RULES.map(({ name }) => name),
    );
  });

  for (const stack of STACKS) {
    const expected = ON_PURPOSE[stack] ?? [];
    it(`finds ${expected.join(', ') || 'nothing'} in ${stack}`, async () => {
      const { resources } = await planOf(stack);
      const found = [...(await pack.analyzeEach(resources)), ...(await pack.analyzeStack(resources))];
      const mandatory = found.filter(({ level }) => level !== 'advisory');
      assert.deepEqual(
        mandatory.map(({ policy }) => policy),
        expected,
        mandatory.map(({ message }) => message).join('\n'),
      );
    });
  }

  it('is shown a broken plan for every rule', () => {
    assert.deepEqual([...new Set(MUTATIONS.map(({ policy }) => policy))].sort(), RULES.map(({ name }) => name).sort());
  });

  for (const mutation of MUTATIONS) {
    const { policy, of, set, named, at = of } = mutation;
    const where = at === of ? '' : `, at ${at}`;
    it(`finds ${of} ${named?.source ?? ''} with ${set[0]} = ${JSON.stringify(set[1]) ?? 'nothing'}${where}`, async () => {
      // Production is where everything holds.
      for (const stack of STACKS.filter((name) => name.startsWith('prod'))) {
        const plan = await planOf(stack);
        const { resources, broken } = mutated(plan.resources, mutation);
        const expected = at === of ? broken : plan.resources.filter(({ type }) => type === at);
        if (broken.length === 0 || expected.length === 0) continue;
        const asked = LOOKS_AT_STACKS.has(policy)
          ? await pack.analyzeStack(resources)
          : await pack.analyzeEach(
              resources,
              resources.filter(({ urn }) => expected.some((before) => before.urn === urn)),
            );
        const found = asked.filter((violation) => violation.policy === policy);
        const missed = expected.filter(({ urn }) => !found.some((violation) => violation.urn === urn));
        assert.deepEqual(
          missed.map(({ urn }) => urn),
          [],
          `${policy} did not find it in ${stack}`,
        );
        return;
      }
      assert.fail(`no plan of production has ${of} ${named ?? ''} with ${at}; a mutation of nothing shows nothing`);
    });
  }

  it('says nothing about values that only the cloud will know, and everything else', async () => {
    const preview = await planOf('dev-charite', { mode: 'preview' });
    assert.deepEqual(await pack.analyzeEach(preview.resources), []);
    assert.deepEqual(await pack.analyzeStack(preview.resources), []);
    const { resources, broken } = mutated(preview.resources, MUTATIONS[0]);
    assert.ok(broken.length > 0);
    const found = await pack.analyzeEach(resources);
    assert.ok(found.some(({ policy, level }) => policy === MUTATIONS[0].policy && level === 'mandatory'));
  });
});
