import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import type { ClaraError } from '../../../base/errors';
import { conductSearch } from '../../../cli/search/conduct';
import { rungsOf, totalRounds } from '../../../cli/search/halving';
import { readSearch, searchSchema } from '../../../cli/search/search-file';
import { SearchProgress } from '../../../cli/search/search-progress';
import { candidatePlan, checkCandidates, isWhole, trialOf, trialPlan } from '../../../cli/search/trials';
import { checkPlan } from '../../../federation/plan';
import { documentedKeys, keysOfSchema, yamlBlocks } from '../../support/documented-keys';
import { FakeDesk } from './fake-desk';

const PAGE = readFileSync(path.resolve(__dirname, '../../../docs/search.md'), 'utf8');

const file = (search: Readonly<Record<string, unknown>> = {}, plan: Readonly<Record<string, unknown>> = {}) => ({
  name: 'spleen',
  trainer: { name: 'reference' },
  rounds: 9,
  ...plan,
  search: { metric: 'dice', candidates: 4, parameters: { 'strategy.mu': { range: [0.1, 1] } }, ...search },
});
const faultsOf = (judge: () => unknown): string[] => {
  try {
    judge();
  } catch (error) {
    return (error as ClaraError).faults.map(({ path, value, rule }) => `${path} ${value}: ${rule}`);
  }
  return [];
};

describe('docs/search.md', () => {
  it('mentions every key of a search, with its default', () => {
    const documented = documentedKeys(PAGE);
    const keys = keysOfSchema(searchSchema).map((key) => `search.${key}`);
    assert.ok(keys.includes('search.budget.bytes'));
    assert.deepEqual(
      keys.filter((key) => !documented.has(key)),
      [],
    );
    for (const key of ['choices', 'range', 'scale', 'integer']) assert.ok(documented.has(key), key);
    const { seed, eta, minRounds } = searchSchema.parse(file().search);
    for (const [key, value] of Object.entries({ seed, eta, minRounds })) {
      assert.equal(documented.get(`search.${key}`), `\`${value}\``);
    }
  });

  it('has an example that is a search of as many rounds as it says', () => {
    const [example] = yamlBlocks(PAGE);
    const search = readSearch(parse(example!));
    checkCandidates(search, ['northern', 'riverside']);
    assert.match(PAGE, new RegExp(`${totalRounds(search.rungs)} rounds here instead of ${9 * 9}`));
    assert.equal(
      search.rungs.reduce((sum, { trials }) => sum + trials, 0),
      Number(/are (\d+) approvals/.exec(PAGE)![1]),
    );
  });

  it('lists every record that a search prints', async () => {
    const search = readSearch(file({ metric: 'score' }, { strategy: 'fedprox' }));
    const records: Record<string, unknown>[] = [];
    const terminal = { json: true, live: false, line: () => undefined };
    const progress = new SearchProgress(search, { ...terminal, record: (record) => void records.push(record) });
    progress.begin();
    const desk = new FakeDesk(() => ({ state: 'completed', scores: [['a', 1, 1]] }));
    await conductSearch(search, desk, { parallel: 1, tell: (event) => progress.tell(event) });
    for (const { event } of records) assert.ok(PAGE.includes(`\n| \`${event}\` `), String(event));
    assert.deepEqual(
      [...new Set(records.map(({ event }) => event))],
      ['search', 'candidate', 'trial-submitted', 'trial', 'rung'],
    );
  });
});

describe('the file of a search', () => {
  it('names the search: by what it says, not by how, and not by its budget', () => {
    const { id } = readSearch(file());
    assert.match(id, /^[0-9a-f]{8}$/);
    assert.equal(readSearch(file({ budget: { rounds: 100 } })).id, id);
    const { search, ...plan } = file();
    assert.equal(readSearch({ search: Object.fromEntries(Object.entries(search).reverse()), ...plan }).id, id);
    const others = [
      readSearch(file(), 'token'),
      readSearch(file({ seed: 2 })),
      readSearch(file({ eta: 2 })),
      readSearch(file({}, { seed: 2 })),
    ].map((other) => other.id);
    assert.equal(new Set([id, ...others]).size, 5);
  });

  it('knows of metrics whether less is better, unless it says so', () => {
    assert.equal(readSearch(file()).mode, 'max');
    assert.equal(readSearch(file({ metric: 'loss' })).mode, 'min');
    assert.equal(readSearch(file({ metric: 'loss', mode: 'max' })).mode, 'max');
  });

  it('is refused with every fault of its search', () => {
    assert.deepEqual(faultsOf(() => readSearch({ name: 'x' })).length, 1);
    const parameters = {
      rounds: { choices: [1] },
      strategy: { choices: ['fedavg'] },
      'strategy.mu': { choices: [1] },
      'a..b': { choices: [1] },
    };
    const faults = faultsOf(() => readSearch(file({ parameters, minRounds: 10, budget: { rounds: 3 } })));
    for (const says of [
      /minRounds 10: cannot exceed the 9 rounds/,
      /candidates 4: cannot exceed the 1 combinations/,
      /budget.rounds 3: is less than the \d+ rounds/,
      /"rounds": is set by the search itself/,
      /"strategy.mu": lies below strategy/,
      /"a..b": must be keys joined by dots/,
    ]) {
      assert.ok(
        faults.some((fault) => says.test(fault)),
        `${says} is not among ${faults.join('\n')}`,
      );
    }
    assert.equal(faults.length, 6);
    const unread = faultsOf(() => readSearch(file({ colour: 1, parameters: { a: { range: [2, 1] } } })));
    assert.deepEqual(unread, [
      'search.parameters.a.range [2,1]: must end above its beginning',
      'search.colour 1: is not known here; check the spelling or remove it',
    ]);
    assert.match(
      faultsOf(() => readSearch(file({ parameters: { a: { range: [1, 1.0001] } } })))[0]!,
      /candidates 4: is more than the [12] different ones/,
    );
  });

  it('says with how many candidates a budget of rounds would do', () => {
    const [fault] = faultsOf(() => readSearch(file({ candidates: 9, budget: { rounds: 20 } })));
    const fitting = Number(/ask for (\d+) candidates/.exec(fault!)![1]);
    assert.ok(totalRounds(rungsOf({ candidates: fitting, eta: 3, minRounds: 1, maxRounds: 9 })) <= 20);
    readSearch(file({ candidates: fitting, budget: { rounds: 20 } }));
  });
});

describe('the plans of a search', () => {
  it('are refused together: a fault of all once, a fault of some with their numbers', () => {
    const search = readSearch(
      file({ parameters: { quorum: { choices: [1, 2, 3, 4] } } }, { colour: 'blue', cohort: ['a', 'b'] }),
    );
    const faults = faultsOf(() => checkCandidates(search));
    assert.equal(faults.length, 3);
    assert.match(faults.find((fault) => fault.startsWith('colour'))!, /^colour "blue": is not known here/);
    const sized = faults.filter((fault) => fault.startsWith('quorum of candidate '));
    assert.deepEqual(sized.map((fault) => /candidate \d (\d)/.exec(fault)![1]).sort(), ['3', '4']);
  });

  it('are judged with the sites that are enrolled', () => {
    const search = readSearch(
      file({ candidates: 2, parameters: { strategy: { choices: ['fedavg', { name: 'krum', f: 1 }] } } }),
    );
    checkCandidates(search);
    checkCandidates(search, ['a', 'b', 'c', 'd', 'e']);
    const [fault, ...others] = faultsOf(() => checkCandidates(search, ['a', 'b', 'c']));
    assert.match(fault!, /^cohort of candidate \d 3 sites enrolled: /);
    assert.deepEqual(others, []);
  });

  it('have names that a run can have', () => {
    const long = (length: number) => readSearch(file({}, { name: 'n'.repeat(length), strategy: 'fedprox' }));
    const [fault] = faultsOf(() => checkCandidates(long(60)));
    const most = Number(/must have at most (\d+) characters/.exec(fault!)![1]);
    assert.equal(faultsOf(() => checkCandidates(long(most))).length, 0);
    const search = long(most);
    for (const [index] of search.rungs.entries()) {
      for (const candidate of search.candidates) checkPlan(trialPlan(search, trialOf(search, candidate, index + 1)));
    }
  });

  it('are that of the candidate, but for its name, its rounds and evaluations beside the global model', () => {
    const plan = { strategy: 'fedprox', evaluation: { siteModels: true } };
    const search = readSearch(file({}, plan));
    const [candidate] = search.candidates;
    const mu = candidate!.parameters['strategy.mu'];
    const tried = checkPlan(trialPlan(search, trialOf(search, candidate!, 1)));
    const whole = checkPlan(candidatePlan(search, candidate!));
    assert.deepEqual(tried.strategy.clientRule, { kind: 'fedprox', mu });
    assert.deepEqual(whole.strategy, tried.strategy);
    assert.deepEqual([whole.name, whole.rounds, whole.evaluation.siteModels], ['spleen', 9, true]);
    assert.deepEqual(tried.evaluation, { everyRound: true, siteModels: false, crossSite: false });
    assert.equal(isWhole(search, trialOf(search, candidate!, search.rungs.length)), false);
    const plain = readSearch(file({}, { strategy: 'fedprox' }));
    assert.equal(isWhole(plain, trialOf(plain, plain.candidates[0]!, plain.rungs.length)), true);
    assert.equal(isWhole(plain, trialOf(plain, plain.candidates[0]!, 1)), false);
  });
});
