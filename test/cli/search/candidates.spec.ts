import assert from 'node:assert/strict';
import fc from 'fast-check';
import { combinations, drawCandidates, type Space, withParameters } from '../../../cli/search/candidates';
import { parameterSchema, valueAt } from '../../../cli/search/space';

const ranges = fc
  .record({
    low: fc.integer({ min: 1, max: 1000 }),
    length: fc.integer({ min: 1, max: 1000 }),
    scale: fc.constantFrom('linear' as const, 'log' as const),
    integer: fc.boolean(),
  })
  .map(({ low, length, scale, integer }) => ({ range: [low, low + length] as [number, number], scale, integer }));
const choices = fc
  .uniqueArray(fc.oneof(fc.string(), fc.integer(), fc.boolean()), {
    minLength: 1,
    maxLength: 5,
    selector: JSON.stringify,
  })
  .map((values) => ({ choices: values }));
const spaces = fc.dictionary(fc.constantFrom('a', 'b.c', 'd.e.f', 'g'), fc.oneof(ranges, choices), { minKeys: 1 });
const seeds = fc.integer({ min: 0, max: 0xffffffff });

describe('the candidates of a search', () => {
  it('are a function of space and seed, all different, all in the space, and as many as there can be', () => {
    fc.assert(
      fc.property(spaces, seeds, fc.integer({ min: 2, max: 30 }), (space: Space, seed, count) => {
        const candidates = drawCandidates(space, seed, count);
        assert.deepEqual(drawCandidates(space, seed, count), candidates);
        assert.ok(candidates.length <= count && candidates.length <= combinations(space));
        if (combinations(space) <= 25) assert.equal(candidates.length, Math.min(count, combinations(space)));
        const texts = candidates.map(({ parameters }) => JSON.stringify(parameters));
        assert.equal(new Set(texts).size, candidates.length);
        for (const { parameters } of candidates) {
          for (const [path, parameter] of Object.entries(space)) {
            const value = parameters[path]!;
            if ('choices' in parameter) assert.ok(parameter.choices.includes(value));
            else {
              assert.ok((value as number) >= parameter.range[0] && (value as number) <= parameter.range[1]);
              if (parameter.integer) assert.ok(Number.isInteger(value));
            }
          }
        }
      }),
    );
  });

  it('of a larger search are those of a smaller one and more; another seed gives others', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const space: Space = { rate: { range: [0.001, 1], scale: 'log', integer: false } };
        const many = drawCandidates(space, seed, 30);
        assert.deepEqual(drawCandidates(space, seed, 10), many.slice(0, 10));
        assert.notDeepEqual(drawCandidates(space, (seed + 1) % 2 ** 32, 30), many);
      }),
    );
  });

  it('are drawn alike over a range: by difference with scale linear, by factor with log', () => {
    const drawn = (scale: 'linear' | 'log') =>
      drawCandidates({ rate: { range: [0.001, 1], scale, integer: false } }, 1, 900).map(({ parameters }) =>
        Number(parameters.rate),
      );
    const below = (values: readonly number[], limit: number) => values.filter((value) => value < limit).length;
    // A third of the decades, a third of the length: 300 expected, with a standard deviation of 14.
    assert.ok(Math.abs(below(drawn('log'), 0.01) - 300) < 70);
    assert.ok(Math.abs(below(drawn('linear'), 0.334) - 300) < 70);
  });

  it('reach both ends of a range of whole numbers', () => {
    for (const scale of ['linear', 'log'] as const) {
      const parameter = { range: [1, 3] as [number, number], scale, integer: true };
      assert.equal(valueAt(parameter, 0), 1);
      assert.equal(valueAt(parameter, 1 - 2 ** -32), 3);
      assert.equal(drawCandidates({ n: parameter }, 1, 3).length, 3);
    }
  });

  it('have numbers of four digits', () => {
    assert.equal(valueAt({ range: [0, 1], scale: 'linear', integer: false }, 1 / 3), 0.3333);
    assert.equal(valueAt({ range: [0.01, 1], scale: 'log', integer: false }, 0.5), 0.1);
  });
});

describe('a plan with the values of a candidate', () => {
  const plan = { name: 'x', trainer: { name: 't', parameters: { a: 1, b: 2 } }, strategy: 'fedprox' };

  it('keeps what the candidate does not change', () => {
    assert.deepEqual(withParameters(plan, { 'trainer.parameters.a': 5, quorum: 2 }), {
      ...plan,
      quorum: 2,
      trainer: { name: 't', parameters: { a: 5, b: 2 } },
    });
    assert.equal(plan.trainer.parameters.a, 1);
  });

  it('has parameters of a strategy that the plan writes as a name, and maps that the plan does not have', () => {
    assert.deepEqual(withParameters(plan, { 'strategy.mu': 0.1 }), { ...plan, strategy: { name: 'fedprox', mu: 0.1 } });
    const encoded = withParameters({ wire: { up: 'top-k', down: 'float16' } }, { 'wire.up.fraction': 0.1 });
    assert.deepEqual(encoded, { wire: { up: { encoding: 'top-k', fraction: 0.1 }, down: 'float16' } });
    assert.deepEqual(withParameters({ cohort: 'all' }, { 'cohort.sample': 2 }), { cohort: { sample: 2 } });
    assert.deepEqual(withParameters({}, { 'a.b.c': [1] }), { a: { b: { c: [1] } } });
  });

  it('takes any key for a key', () => {
    const changed = withParameters({}, { '__proto__.polluted': true });
    assert.deepEqual(Object.keys(changed as object), ['__proto__']);
    assert.equal(({} as Record<string, unknown>).polluted, undefined);
  });
});

describe('a parameter of a search', () => {
  for (const [what, written, says] of [
    ['no range', { range: [1] }, /low, high/],
    ['a range that is none', { range: [2, 1] }, /must end above its beginning/],
    ['a log scale from 0', { range: [0, 1], scale: 'log' }, /above 0/],
    ['whole numbers between others', { range: [0.5, 2], integer: true }, /whole numbers/],
    ['no choice', { choices: [] }, /at least one/],
    [
      'the same choice twice',
      {
        choices: [
          { a: 1, b: 2 },
          { b: 2, a: 1 },
        ],
      },
      /each value once/,
    ],
    ['choices with a scale', { choices: [1], scale: 'log' }, /scale, which is not known/],
    ['neither', 5, /expected object/],
  ] as const) {
    it(`is refused with ${what}`, () => {
      const result = parameterSchema.safeParse(written);
      assert.equal(result.success, false);
      assert.match(JSON.stringify(result.error!.issues), says);
    });
  }
});
