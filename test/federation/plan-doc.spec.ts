import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { checkPlan, parsePlan, planSchema } from '../../federation/plan';
import { documentedKeys, keysOfSchema, yamlBlocks } from '../support/documented-keys';

const PAGE = path.resolve(__dirname, '../../docs/plan.md');

/** The strategy has two written forms, so its parts are found by what it refuses to do without or with. */
const STRATEGY_PARTS = [
  { combiner: { kind: 'weighted-mean' }, serverOptimiser: { kind: 'momentum' } },
  { combiner: { kind: 'weighted-mean' }, serverOptimiser: { kind: 'adam' } },
];

describe('docs/plan.md', () => {
  const text = readFileSync(PAGE, 'utf8');
  const documented = documentedKeys(text);

  it('mentions every key of the schema', () => {
    const keys = keysOfSchema(planSchema);
    assert.ok(keys.includes('evaluation.siteModels'), 'the keys of nested objects are found');
    assert.deepEqual(
      keys.filter((key) => !documented.has(key) && !keys.some((other) => other.startsWith(`${key}.`))),
      [],
    );
  });

  it('mentions every key of a parsed strategy', () => {
    const keys = STRATEGY_PARTS.flatMap((strategy) => {
      const { strategy: parsed } = checkPlan({ ...minimal, strategy });
      const { kind: _, ...settings } = parsed.serverOptimiser;
      return [
        ...Object.keys(parsed).map((key) => (key === 'name' ? 'strategy.name' : `strategy.${key}.kind`)),
        ...Object.keys(settings),
      ];
    });
    assert.ok(keys.includes('tau'));
    assert.deepEqual(
      keys.filter((key) => !documented.has(key)),
      [],
    );
  });

  it('gives the defaults that parsing fills in', () => {
    const plan = checkPlan(minimal);
    assert.deepEqual(plan.initialModel, { from: 'trainer' });
    assert.deepEqual([plan.cohort, plan.quorum, plan.deadline, plan.seed], ['all', 'all', 3600e3, 1]);
    assert.deepEqual(plan.evaluation, { everyRound: true, siteModels: false, crossSite: false });
    assert.equal(plan.strategy.name, 'fedavg');
    const expected: Readonly<Record<string, string>> = {
      initialModel: '`{from: trainer}`',
      cohort: '`all`',
      quorum: '`all`',
      deadline: '`1h`',
      strategy: '`fedavg`',
      seed: '`1`',
      'evaluation.everyRound': '`true`',
      'evaluation.siteModels': '`false`',
      'evaluation.crossSite': '`false`',
    };
    for (const [key, value] of Object.entries(expected)) assert.equal(documented.get(key), value, key);
  });

  it('has examples that are plans', () => {
    const blocks = yamlBlocks(text);
    assert.equal(blocks.length, 2);
    for (const block of blocks) parsePlan(block.startsWith('strategy:') ? `${JSON_PREFIX}${block}` : block);
  });
});

const minimal = { name: 'spleen', trainer: { name: 'reference' }, rounds: 1 };
const JSON_PREFIX = 'name: spleen\ntrainer: {name: reference}\nrounds: 1\n';
