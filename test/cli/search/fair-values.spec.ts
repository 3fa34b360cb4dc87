import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fairValues, type Judgement } from '../../../cli/search/fair-values';

const SITES = ['a', 'b', 'c', 'd'];

/** Who has judged which trial, and how many cases each site has; each trial has a judge. */
const tables = fc.record({
  trials: fc.array(
    fc.record({
      quality: fc.integer({ min: 0, max: 50 }),
      judges: fc.subarray(SITES, { minLength: 1 }),
    }),
    { minLength: 1, maxLength: 8 },
  ),
  cases: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 4, maxLength: 4 }),
  ease: fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 4, maxLength: 4 }),
  noise: fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 32, maxLength: 32 }),
});
type Table = typeof tables extends fc.Arbitrary<infer T> ? T : never;

const judged = ({ trials, cases, ease, noise }: Table): Judgement[][] =>
  trials.map(({ quality, judges }, trial) =>
    judges.map((site) => {
      const index = SITES.indexOf(site);
      const value = (quality + ease[index]! + noise[trial * 4 + index]!) / 100;
      return { site, value, samples: cases[index]! };
    }),
  );

const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`);
/** Differences between trials that can be compared. */
const differences = (values: ReturnType<typeof fairValues>) =>
  values.flatMap((a) => values.filter((b) => a.group === b.group).map((b) => a.value - b.value));

describe('values of trials that different sites have judged', () => {
  it('are the means by held-out cases when all sites have judged all', () => {
    fc.assert(
      fc.property(tables, (table) => {
        const trials = judged({ ...table, trials: table.trials.map((trial) => ({ ...trial, judges: SITES })) });
        for (const [index, { value, group }] of fairValues(trials).entries()) {
          const samples = trials[index]!.reduce((sum, each) => sum + each.samples, 0);
          near(value, trials[index]!.reduce((sum, each) => sum + each.value * each.samples, 0) / samples);
          assert.equal(group, 0);
        }
      }),
    );
  });

  it('rank by the trials alone, however easy the cases of a site are', () => {
    fc.assert(
      fc.property(
        tables,
        fc.constantFrom(...SITES.keys()),
        fc.integer({ min: -90, max: 90 }),
        (table, site, easier) => {
          const ease = table.ease.map((of, index) => (index === site ? of + easier : of));
          const before = differences(fairValues(judged(table)));
          const after = differences(fairValues(judged({ ...table, ease })));
          assert.equal(before.length, after.length);
          for (const [index, difference] of before.entries()) near(difference, after[index]!);
        },
      ),
    );
  });

  it('are the qualities of the trials where sites differ in nothing but how easy their cases are', () => {
    fc.assert(
      fc.property(tables, (table) => {
        const trials = judged({ ...table, noise: table.noise.map(() => 0) });
        const qualities = table.trials.map(({ quality }, index) => ({
          value: quality / 100,
          group: fairValues(trials)[index]!.group,
        }));
        for (const [index, difference] of differences(fairValues(trials)).entries()) {
          near(difference, differences(qualities)[index]!);
        }
      }),
    );
  });

  it('tell trials apart that share no judge, through one that shares a judge with each', () => {
    const [both, onA, onB] = fairValues([
      [
        { site: 'a', value: 0.8, samples: 1 },
        { site: 'b', value: 0.4, samples: 1 },
      ],
      [{ site: 'a', value: 0.7, samples: 1 }],
      [{ site: 'b', value: 0.45, samples: 1 }],
    ]);
    near(both!.value, 0.6);
    near(onA!.value, 0.5);
    near(onB!.value, 0.65);
  });

  it('are not compared when no site connects them; most cases come first, and cases without samples connect nothing', () => {
    const groups = fairValues([
      [{ site: 'a', value: 0.9, samples: 2 }],
      [
        { site: 'b', value: 0.1, samples: 3 },
        { site: 'a', value: 0.5, samples: 0 },
      ],
      [{ site: 'b', value: 0.2, samples: 3 }],
    ]).map(({ group }) => group);
    assert.deepEqual(groups, [1, 0, 0]);
  });
});
