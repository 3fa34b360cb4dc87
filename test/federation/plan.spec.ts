import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ClaraError } from '../../base/errors';
import { checkPlan, type PlanInput, parsePlan } from '../../federation/plan';
import { STRATEGY_NAMES } from '../../federation/strategy-forms';

const MINIMAL = { name: 'spleen', trainer: { name: 'reference' }, rounds: 5 };

function faultsOf(document: unknown): [path: string, value: string | undefined, rule: string][] {
  try {
    checkPlan(document);
  } catch (error) {
    assert.ok(error instanceof ClaraError);
    assert.equal(error.code, 'invalid-input');
    return error.faults.map(({ path, value, rule }) => [path, value, rule]);
  }
  return [];
}

const pathsOf = (document: unknown): string[] => faultsOf(document).map(([path]) => path);

function refusal(text: string): string {
  try {
    parsePlan(text);
  } catch (error) {
    assert.ok(error instanceof ClaraError);
    assert.equal(error.code, 'invalid-input');
    return error.message;
  }
  return assert.fail('the plan was accepted');
}

describe('a plan', () => {
  it('says all that will happen, with every default filled in', () => {
    assert.deepEqual(parsePlan('{name: spleen, trainer: {name: reference}, rounds: 5}'), {
      name: 'spleen',
      initialModel: { from: 'trainer' },
      trainer: { name: 'reference', parameters: {} },
      cohort: 'all',
      rounds: 5,
      quorum: 'all',
      deadline: 3_600_000,
      lateUpdates: 'drop',
      mode: 'synchronous',
      strategy: {
        name: 'fedavg',
        clientRule: { kind: 'none' },
        combiner: { kind: 'weighted-mean' },
        serverOptimiser: { kind: 'replace' },
      },
      siteWeights: {},
      excludedTensors: [],
      frozenTensors: [],
      normalisationStatistics: 'average',
      wire: { up: { encoding: 'float32', delta: false }, down: { encoding: 'float32', delta: false } },
      evaluation: { everyRound: true, siteModels: false, crossSite: false },
      seed: 1,
    });
  });

  it('with several mistakes is refused with all of them, each with path, value and rule', () => {
    const faults = faultsOf({
      name: 'Spleen!',
      trainer: { name: 'reference', parameters: {}, epochs: 3 },
      rounds: 0,
      deadline: 'soon',
      strategy: { name: 'fedadam', lr: -1 },
      excludedTensors: ['('],
      colour: 'blue',
    });
    assert.deepEqual(faults.map(([path]) => path).sort(), [
      'colour',
      'deadline',
      'excludedTensors.0',
      'name',
      'rounds',
      'strategy.lr',
      'trainer.epochs',
    ]);
    const of = (path: string) => faults.find(([found]) => found === path)!;
    assert.deepEqual(of('deadline'), ['deadline', '"soon"', 'must be a duration such as 90s, 10m or 2h']);
    assert.deepEqual(of('colour'), ['colour', '"blue"', 'is not known here; check the spelling or remove it']);
    assert.equal(of('strategy.lr')[1], '-1');
    assert.equal(of('rounds')[1], '0');
    for (const [path, , rule] of faults) assert.ok(rule.length > 5, path);
  });

  it('is refused as a whole when it is no object', () => {
    for (const text of ['', '42', '[]', 'null', 'just words']) assert.ok(refusal(text).length > 0);
  });

  for (const [shorthand, combiner, serverOptimiser] of [
    ['fedavg', { kind: 'weighted-mean' }, { kind: 'replace' }],
    ['fedavgm', { kind: 'weighted-mean' }, { kind: 'momentum', lr: 1, beta: 0.9 }],
    ['fedadam', { kind: 'weighted-mean' }, { kind: 'adam', lr: 0.1, beta1: 0.9, beta2: 0.99, tau: 1e-3 }],
    ['fedadagrad', { kind: 'weighted-mean' }, { kind: 'adagrad', lr: 0.1, beta1: 0, tau: 1e-3 }],
    ['fedyogi', { kind: 'weighted-mean' }, { kind: 'yogi', lr: 0.1, beta1: 0.9, beta2: 0.99, tau: 1e-3 }],
    ['median', { kind: 'median' }, { kind: 'replace' }],
    ['trimmed-mean', { kind: 'trimmed-mean', beta: 1 }, { kind: 'replace' }],
    ['geometric-median', { kind: 'geometric-median', smoothing: 1e-6 }, { kind: 'replace' }],
    ['krum', { kind: 'krum', f: 1 }, { kind: 'replace' }],
    ['multikrum', { kind: 'multikrum', f: 1, m: 3 }, { kind: 'replace' }],
    ['bulyan', { kind: 'bulyan', f: 1 }, { kind: 'replace' }],
  ] as const) {
    it(`expands the shorthand ${shorthand}, written as a name or as an object`, () => {
      const expected = { name: shorthand, clientRule: { kind: 'none' }, combiner, serverOptimiser };
      assert.deepEqual(checkPlan({ ...MINIMAL, strategy: shorthand }).strategy, expected);
      assert.deepEqual(checkPlan({ ...MINIMAL, strategy: { name: shorthand } }).strategy, expected);
    });
  }

  it("expands the shorthands whose rule is the site's or that normalise", () => {
    const of = (strategy: unknown) => checkPlan({ ...MINIMAL, strategy }).strategy;
    assert.deepEqual(of('fedprox').clientRule, { kind: 'fedprox', mu: 0.01 });
    assert.deepEqual(of({ name: 'fedprox', mu: 1 }).clientRule, { kind: 'fedprox', mu: 1 });
    assert.deepEqual(of('scaffold').clientRule, { kind: 'scaffold' });
    assert.deepEqual(of('fedprox').combiner, { kind: 'weighted-mean' });
    assert.deepEqual(
      [of('fednova').clientRule, of('fednova').combiner],
      [{ kind: 'none' }, { kind: 'normalised-mean' }],
    );
  });

  it('takes parameters of a shorthand, and refuses those of another', () => {
    const { strategy } = checkPlan({ ...MINIMAL, strategy: { name: 'fedadam', lr: 0.5, tau: 0.01 } });
    assert.deepEqual(strategy.serverOptimiser, { kind: 'adam', lr: 0.5, beta1: 0.9, beta2: 0.99, tau: 0.01 });
    assert.deepEqual(pathsOf({ ...MINIMAL, strategy: { name: 'fedavg', lr: 0.5 } }), ['strategy.lr']);
    assert.deepEqual(pathsOf({ ...MINIMAL, strategy: { name: 'fedadagrad', beta2: 0.5 } }), ['strategy.beta2']);
    for (const strategy of ['fedsomething', 'constructor', { name: 'toString' }, {}, { lr: 1 }]) {
      assert.deepEqual(pathsOf({ ...MINIMAL, strategy }), ['strategy.name']);
    }
    assert.deepEqual(pathsOf({ ...MINIMAL, strategy: 7 }), ['strategy']);
  });

  it('takes a bound for clipping beside any name and in the parts', () => {
    for (const strategy of [
      { name: 'fedadam', clip: 2 },
      { name: 'trimmed-mean', beta: 2, clip: 2 },
      { combiner: { kind: 'median' }, clip: 2 },
    ]) {
      assert.equal(checkPlan({ ...MINIMAL, strategy }).strategy.clip, 2);
    }
    for (const clip of [0, -1, Number.NaN, 'a lot']) {
      assert.deepEqual(pathsOf({ ...MINIMAL, strategy: { name: 'fedavg', clip } }), ['strategy.clip']);
    }
  });

  it('has the same text again once it is parsed from its text, whatever its strategy', () => {
    for (const name of STRATEGY_NAMES) {
      const strategy = name === 'scaffold' ? { name } : { name, clip: 3 };
      const text = JSON.stringify(checkPlan({ ...MINIMAL, strategy }));
      assert.equal(JSON.stringify(parsePlan(text)), text, 'a submission that is repeated would be taken for another');
    }
  });

  it('takes the three parts of a strategy', () => {
    const parts = { combiner: { kind: 'median' }, serverOptimiser: { kind: 'momentum' } } as const;
    assert.deepEqual(checkPlan({ ...MINIMAL, strategy: parts }).strategy, {
      name: 'custom',
      clientRule: { kind: 'none' },
      combiner: { kind: 'median' },
      serverOptimiser: { kind: 'momentum', lr: 1, beta: 0.9 },
    });
  });

  for (const [text, millis] of [
    ['90s', 90_000],
    ['10m', 600_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['1500ms', 1500],
    [2000, 2000],
  ] as const) {
    it(`reads the duration ${text}`, () => {
      assert.equal(checkPlan({ ...MINIMAL, deadline: text }).deadline, millis);
    });
  }

  for (const text of ['', '5', '5 s', '-5s', '1.5h', '5w', '0s', '999ms', '31d', 999, -1, 1.5, null, {}]) {
    it(`refuses the duration ${JSON.stringify(text)}`, () => {
      assert.deepEqual([...new Set(pathsOf({ ...MINIMAL, deadline: text }))], ['deadline']);
    });
  }

  it('that was parsed parses to itself', () => {
    const site = fc.stringMatching(/^[a-z][a-z0-9]{0,5}$/);
    const weights = fc.dictionary(site, fc.double({ min: 0.01, max: 1000, noNaN: true }), { maxKeys: 3 });
    const plan: fc.Arbitrary<PlanInput> = fc.record(
      {
        name: fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/),
        trainer: fc.record({
          name: fc.constant('reference'),
          parameters: fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.jsonValue() as fc.Arbitrary<never>),
        }),
        rounds: fc.integer({ min: 1, max: 10_000 }),
        cohort: fc.constant('all' as const),
        quorum: fc.oneof(fc.constant('all' as const), fc.integer({ min: 3, max: 9 })),
        deadline: fc.integer({ min: 1000, max: 1e9 }),
        strategy: fc.constantFrom('fedavg', 'fedavgm', 'fedadam', { name: 'fedavgm', beta: 0.5 }),
        siteWeights: weights,
        excludedTensors: fc.array(fc.constantFrom('^bn\\.', 'running_(mean|var)$', '.'), { maxLength: 3 }),
        seed: fc.integer({ min: 0, max: 0xffffffff }),
      },
      { requiredKeys: ['name', 'trainer', 'rounds'] },
    );
    fc.assert(
      fc.property(plan, (input) => {
        const parsed = checkPlan(input);
        assert.deepEqual(checkPlan(parsed), parsed);
        // Its JSON text is how it travels to the sites.
        assert.deepEqual(parsePlan(JSON.stringify(parsed)), JSON.parse(JSON.stringify(parsed)));
      }),
      { numRuns: 200 },
    );
  });
});

describe('a plan that can never work is refused', () => {
  const three = ['a', 'b', 'c'];
  for (const [what, more, paths] of [
    ['a median of two sites', { strategy: 'median', cohort: ['a', 'b'] }, ['cohort']],
    ['a median that a quorum of two may close', { strategy: 'median', cohort: three, quorum: 2 }, ['quorum']],
    [
      'a trimmed mean that trims all',
      { strategy: { name: 'trimmed-mean', beta: 2 }, cohort: ['a', 'b', 'c', 'd'] },
      ['cohort'],
    ],
    ['a trimmed mean that a quorum may empty', { strategy: { name: 'trimmed-mean', beta: 2 }, quorum: 4 }, ['quorum']],
    [
      'scaffold with a robust combiner',
      { strategy: { clientRule: { kind: 'scaffold' }, combiner: { kind: 'median' } }, cohort: three },
      ['strategy.combiner'],
    ],
    [
      'scaffold updates shown to other sites',
      { strategy: 'scaffold', evaluation: { crossSite: true } },
      ['evaluation.crossSite'],
    ],
    ['scaffold that clips', { strategy: { name: 'scaffold', clip: 1 } }, ['strategy.clip']],
    ['a geometric median of two sites', { strategy: 'geometric-median', cohort: ['a', 'b'] }, ['cohort']],
    ['a krum that a quorum of 2 f + 2 may close', { strategy: { name: 'krum', f: 2 }, quorum: 6 }, ['quorum']],
    [
      'a multikrum that averages hostile updates',
      { strategy: { name: 'multikrum', f: 2, m: 6 }, quorum: 7 },
      ['quorum'],
    ],
    ['a bulyan of 4 f + 2 updates', { strategy: { name: 'bulyan', f: 2 }, quorum: 10 }, ['quorum']],
    ['weights in a krum', { strategy: 'krum', siteWeights: { a: 2 } }, ['siteWeights']],
    ['weights in a trimmed mean', { strategy: 'trimmed-mean', cohort: three, siteWeights: { a: 2 } }, ['siteWeights']],
    ['a quorum above the cohort', { cohort: three, quorum: 4 }, ['quorum']],
    ['a site that is named twice', { cohort: ['a', 'b', 'a'] }, ['cohort.2']],
    ['a weight for a site outside the cohort', { cohort: three, siteWeights: { d: 2 } }, ['siteWeights.d']],
    ['weights in a median', { strategy: 'median', cohort: three, siteWeights: { a: 2 } }, ['siteWeights']],
    [
      'statistics that train',
      {
        rounds: 2,
        statistics: {},
        initialModel: { from: 'run', run: 'r' },
        evaluation: { siteModels: true, crossSite: true },
      },
      ['evaluation.crossSite', 'evaluation.siteModels', 'initialModel.from', 'rounds'],
    ],
    ['statistics over a range that is none', { rounds: 1, statistics: { low: 5, high: 5 } }, ['statistics']],
    [
      'three impossible wishes at once',
      { strategy: 'median', cohort: ['a', 'a'], quorum: 5, siteWeights: { b: 1 } },
      ['cohort.1', 'quorum', 'siteWeights', 'siteWeights.b'],
    ],
  ] as const) {
    it(what, () => assert.deepEqual(pathsOf({ ...MINIMAL, ...more }).sort(), [...paths]));
  }

  it('also when other fields are wrong', () => {
    assert.deepEqual(pathsOf({ ...MINIMAL, rounds: -1, cohort: ['a', 'b'], quorum: 3 }).sort(), ['quorum', 'rounds']);
  });

  it('while their possible neighbours are accepted', () => {
    checkPlan({ ...MINIMAL, strategy: 'median', cohort: three });
    checkPlan({ ...MINIMAL, strategy: 'median' });
    checkPlan({ ...MINIMAL, strategy: 'scaffold', evaluation: { siteModels: true } });
    checkPlan({ ...MINIMAL, strategy: { name: 'trimmed-mean', beta: 2 }, quorum: 5 });
    checkPlan({ ...MINIMAL, strategy: { name: 'krum', f: 2 }, quorum: 7 });
    checkPlan({ ...MINIMAL, strategy: { name: 'multikrum', f: 2, m: 6 }, quorum: 8 });
    checkPlan({ ...MINIMAL, strategy: { name: 'bulyan', f: 2 }, quorum: 11 });
    const { statistics } = checkPlan({ ...MINIMAL, rounds: 1, statistics: {} });
    assert.deepEqual(statistics, { bins: 64, low: -1024, high: 3072 });
    checkPlan({ ...MINIMAL, cohort: three, quorum: 3, siteWeights: { a: 2, c: 0.5 } });
  });
});

describe('the text of a plan', () => {
  it('may be YAML or JSON', () => {
    assert.deepEqual(
      parsePlan(JSON.stringify(MINIMAL)),
      parsePlan('name: spleen\ntrainer:\n  name: reference\nrounds: 5\n'),
    );
  });

  it('with the same key twice is refused', () => {
    assert.match(refusal('name: a\nname: b\ntrainer: {name: t}\nrounds: 1\n'), /unique/i);
  });

  it('that unfolds into more than it says is refused', () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
    for (const [name, before] of ['ba', 'cb', 'dc', 'ed', 'fe', 'gf', 'hg', 'ih']) {
      bomb.push(`${name}: &${name} [${new Array(9).fill(`*${before}`).join(', ')}]`);
    }
    assert.match(refusal(bomb.join('\n')), /alias/i);
  });

  it('that is too long is refused unread', () => {
    assert.match(refusal(' '.repeat(1_000_001)), /1000001 characters/);
  });

  it('that is neither is refused in one sentence', () => {
    const message = refusal('name: [unclosed');
    assert.match(message, /neither YAML nor JSON/);
    assert.ok(!message.includes('\n'));
  });

  it('whatever it is, is refused with a sentence or accepted, never anything else', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        try {
          parsePlan(text);
        } catch (error) {
          assert.ok(error instanceof ClaraError && error.code === 'invalid-input', String(error));
        }
      }),
      { numRuns: 100 },
    );
  });
});
