import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { checkPlan, parsePlan, planSchema } from '../../federation/plan';
import { STRATEGY_NAMES, strategyPartsSchema } from '../../federation/strategy-forms';
import { documentedKeys, keysOfSchema, yamlBlocks } from '../support/documented-keys';

const PAGE = path.resolve(__dirname, '../../docs/plan.md');

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

  it('lists every strategy that has a name, with its parts, its parameters and their defaults', () => {
    for (const name of STRATEGY_NAMES) {
      const row = text.split('\n').find((line) => line.startsWith(`| \`${name}\``));
      assert.ok(row, `${name} has no row`);
      const { clientRule, combiner, serverOptimiser } = checkPlan({ ...minimal, strategy: name }).strategy;
      for (const { kind, ...settings } of [clientRule, combiner, serverOptimiser]) {
        assert.ok(kind === 'none' || row.includes(`\`${kind}\``), `the row of ${name} does not say ${kind}`);
        for (const [key, value] of Object.entries(settings)) {
          assert.ok(row.includes(`${key}: ${value}`), `the row of ${name} does not say ${key}: ${value}`);
          assert.ok(documented.has(key), `${key} is not among the keys of the parts`);
        }
      }
    }
  });

  it('mentions every key of the parts of a strategy', () => {
    const keys = keysOfSchema(strategyPartsSchema).map((key) =>
      key.endsWith('.kind') || !key.includes('.') ? `strategy.${key}` : key.slice(key.indexOf('.') + 1),
    );
    assert.ok(keys.includes('tau') && keys.includes('strategy.combiner.kind'));
    assert.deepEqual(
      keys.filter((key) => !documented.has(key) && !keys.some((other) => other.startsWith(`${key}.`))),
      [],
    );
  });

  it('mentions every encoding and every key of one', () => {
    for (const encoding of ['float32', 'float16', 'bfloat16', 'int8', 'top-k'] as const) {
      const up = { encoding, ...(encoding === 'top-k' && { fraction: 0.1 }) };
      const { wire } = checkPlan({ ...minimal, wire: { up } });
      assert.match(text, new RegExp(`^\\| \`${encoding}\` `, 'm'));
      for (const key of Object.keys(wire.up)) assert.ok(documented.has(key), `${key} of ${encoding}`);
    }
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
      normalisationStatistics: '`average`',
      'wire.up': '`float32`',
      'wire.down': '`float32`',
      'evaluation.everyRound': '`true`',
      'evaluation.siteModels': '`false`',
      'evaluation.crossSite': '`false`',
    };
    for (const [key, value] of Object.entries(expected)) assert.equal(documented.get(key), value, key);
  });

  it('has examples that are plans', () => {
    const blocks = yamlBlocks(text);
    assert.equal(blocks.length, 4);
    for (const block of blocks) parsePlan(/^(strategy|wire):/.test(block) ? `${JSON_PREFIX}${block}` : block);
  });
});

const minimal = { name: 'spleen', trainer: { name: 'reference' }, rounds: 1 };
const JSON_PREFIX = 'name: spleen\ntrainer: {name: reference}\nrounds: 1\n';
