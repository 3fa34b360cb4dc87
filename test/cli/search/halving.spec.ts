import assert from 'node:assert/strict';
import fc from 'fast-check';
import { candidatesWithin, rungsOf, totalRounds } from '../../../cli/search/halving';
import { type Outcome, ranked, standings, survivors } from '../../../cli/search/ranking';

const halvings = fc
  .record({
    candidates: fc.integer({ min: 2, max: 1000 }),
    eta: fc.integer({ min: 2, max: 10 }),
    minRounds: fc.integer({ min: 1, max: 50 }),
    more: fc.integer({ min: 0, max: 2000 }),
  })
  .map(({ more, ...halving }) => ({ ...halving, maxRounds: halving.minRounds + more }));

describe('the rungs of a search', () => {
  it('are those that the documentation names', () => {
    const rungs = rungsOf({ candidates: 9, eta: 3, minRounds: 1, maxRounds: 9 });
    assert.deepEqual(rungs, [
      { trials: 9, rounds: 1 },
      { trials: 3, rounds: 3 },
      { trials: 1, rounds: 9 },
    ]);
    assert.equal(totalRounds(rungs), 27);
  });

  it('begin with all candidates, end with all rounds, and never try fewer candidates for fewer rounds', () => {
    fc.assert(
      fc.property(halvings, (halving) => {
        const rungs = rungsOf(halving);
        assert.equal(rungs[0]!.trials, halving.candidates);
        assert.equal(rungs.at(-1)!.rounds, halving.maxRounds);
        for (const [index, rung] of rungs.entries()) {
          assert.ok(rung.trials >= 1 && rung.rounds >= halving.minRounds, JSON.stringify(rungs));
          const next = rungs[index + 1];
          if (!next) continue;
          assert.ok(rung.trials >= 2, 'a rung that is not the last has a choice to make');
          assert.ok(next.trials <= Math.max(rung.trials / halving.eta, 1) && next.rounds >= rung.rounds * halving.eta);
        }
      }),
    );
  });

  it('cost at most 1 / (eta - 1) more than continued trials would', () => {
    fc.assert(
      fc.property(halvings, (halving) => {
        const rungs = rungsOf(halving);
        const continued = rungs.reduce(
          (sum, { trials, rounds }, index) => sum + trials * (rounds - (rungs[index - 1]?.rounds ?? 0)),
          0,
        );
        assert.ok(totalRounds(rungs) * (halving.eta - 1) <= continued * halving.eta);
      }),
    );
  });

  it('fit into a budget with as many candidates as it says', () => {
    fc.assert(
      fc.property(halvings, fc.integer({ min: 1, max: 10_000 }), (halving, budget) => {
        const fitting = candidatesWithin(budget, halving);
        assert.ok(fitting <= halving.candidates);
        if (fitting > 0) assert.ok(totalRounds(rungsOf({ ...halving, candidates: fitting })) <= budget);
        for (let more = fitting + 1; more <= halving.candidates; more++) {
          assert.ok(totalRounds(rungsOf({ ...halving, candidates: more })) > budget);
        }
      }),
      { numRuns: 30 },
    );
  });
});

const outcome = (candidate: number, rung: number, value: number | null): Outcome => ({
  candidate,
  rung,
  rounds: 1,
  run: `run-${candidate}-${rung}`,
  value,
  judgements: value === null ? [] : [{ site: 'a', value, samples: 1 }],
  reason: value === null ? 'failed: of something' : '',
  roundsDone: 1,
  bytes: 0,
  seconds: 0,
});

/** Few different values, so that there are ties. */
const values = fc.array(fc.option(fc.integer({ min: -3, max: 3 })), { minLength: 1, maxLength: 30 });
const modes = fc.constantFrom('max' as const, 'min' as const);

describe('the ranking of trials', () => {
  it('lets the best go on: none that stays behind is better, and none without a value goes on', () => {
    fc.assert(
      fc.property(values, modes, fc.integer({ min: 1, max: 10 }), (found, mode, places) => {
        const outcomes = found.map((value, index) => outcome(index + 1, 1, value));
        const goOn = survivors(outcomes, mode, places);
        const known = outcomes.filter(({ value }) => value !== null);
        assert.equal(goOn.length, Math.min(places, known.length));
        const isBetter = (a: Outcome, b: Outcome) =>
          mode === 'max'
            ? a.value! > b.value! || (a.value === b.value && a.candidate < b.candidate)
            : a.value! < b.value! || (a.value === b.value && a.candidate < b.candidate);
        for (const kept of goOn) {
          const winner = known.find(({ candidate }) => candidate === kept)!;
          for (const other of known) {
            if (!goOn.includes(other.candidate)) assert.ok(isBetter(winner, other));
          }
        }
      }),
    );
  });

  it('does not depend on the order in which trials end', () => {
    fc.assert(
      fc.property(values, modes, fc.infiniteStream(fc.nat()), (found, mode, keys) => {
        const outcomes = found.map((value, index) => outcome(index + 1, 1, value));
        const shuffled = outcomes
          .map((each) => ({ each, key: keys.next().value as number }))
          .sort((a, b) => a.key - b.key)
          .map(({ each }) => each);
        assert.deepEqual(ranked(shuffled, mode), ranked(outcomes, mode));
        assert.deepEqual(standings(shuffled, mode), standings(outcomes, mode));
      }),
    );
  });

  it('puts who came further first, and who failed on the way last', () => {
    const all = [
      outcome(1, 1, 0.9),
      outcome(2, 1, 0.8),
      outcome(3, 1, null),
      outcome(4, 1, 0.7),
      outcome(5, 1, 0.7),
      outcome(1, 2, null),
      outcome(2, 2, 0.1),
    ];
    assert.deepEqual(
      standings(all, 'max').map(({ candidate, rung, value }) => [candidate, rung, value]),
      [
        [2, 2, 0.1],
        [4, 1, 0.7],
        [5, 1, 0.7],
        [1, 2, null],
        [3, 1, null],
      ],
    );
  });
});
