import assert from 'node:assert/strict';
import fc from 'fast-check';
import { conductSearch, type SearchEnd, type SearchEvent } from '../../../cli/search/conduct';
import { totalRounds } from '../../../cli/search/halving';
import { readSearch, type Search } from '../../../cli/search/search-file';
import { INTERRUPTED } from '../../../cli/search/trials';
import { FakeDesk, type FakeEnd, type TrialPlan } from './fake-desk';

const searchOf = (settings: Readonly<Record<string, unknown>> = {}): Search =>
  readSearch({
    name: 'x',
    trainer: { name: 't', parameters: { other: 1 } },
    rounds: 9,
    search: {
      metric: 'score',
      candidates: 9,
      parameters: { 'trainer.parameters.rate': { range: [1, 40], integer: true } },
      ...settings,
    },
  });

const rateOf = ({ trainer }: TrialPlan): number => trainer.parameters.rate!;
const scored = (score: number): FakeEnd => ({ state: 'completed', scores: [['a', score, 1]] });

const conducted = async (
  search: Search,
  desk: FakeDesk,
  { parallel = 1 } = {},
): Promise<SearchEnd & { readonly events: readonly SearchEvent[] }> => {
  const events: SearchEvent[] = [];
  const end = await conductSearch(search, desk, { parallel, tell: (event) => events.push(event), now: () => desk.now });
  return { ...end, events };
};

describe('a search', () => {
  it('takes the best of each rung to the next, each trial a plan of its own, and finds the best', async () => {
    const search = searchOf();
    const desk = new FakeDesk((plan) => scored(rateOf(plan)));
    const { standings, spent, stopped } = await conducted(search, desk);
    const rates = search.candidates.map(({ parameters }) => Number(Object.values(parameters)[0]));
    const best = [...rates].sort((a, b) => b - a);
    const tried = (rung: number) => desk.runs.filter(({ plan }) => plan.name.endsWith(`-r${rung}`));
    assert.deepEqual(
      tried(1).map(({ plan }) => rateOf(plan)),
      rates,
    );
    assert.deepEqual(
      tried(2).map(({ plan }) => rateOf(plan)),
      best.slice(0, 3),
    );
    assert.deepEqual(
      tried(3).map(({ plan }) => [rateOf(plan), plan.rounds]),
      [[best[0], 9]],
    );
    assert.equal(standings[0]!.value, best[0]);
    assert.equal(standings.length, 9);
    assert.deepEqual([spent.rounds, stopped], [totalRounds(search.rungs), undefined]);
    assert.match(desk.runs[1]!.run, new RegExp(`^x-${search.id}-c2-r1-[0-9a-f]{8}$`));
  });

  it('weighs sites by their held-out cases', async () => {
    const desk = new FakeDesk(() => ({
      state: 'completed',
      scores: [
        ['a', 1, 3],
        ['b', 0, 1],
      ],
    }));
    const { standings } = await conducted(searchOf(), desk);
    assert.equal(standings[0]!.value, 0.75);
    assert.deepEqual(
      standings[0]!.judgements.map(({ site }) => site),
      ['a', 'b'],
    );
  });

  it('does not take an easy site for a good candidate when a hard one was away for its evaluation', async () => {
    const search = searchOf();
    const [, luckiest] = search.candidates;
    const rate = luckiest!.parameters['trainer.parameters.rate'];
    const desk = new FakeDesk((plan) => {
      const score = rateOf(plan) / 1000;
      const easy = ['easy', 0.9 + score, 2] as const;
      return { state: 'completed', scores: rateOf(plan) === rate ? [easy] : [easy, ['hard', 0.3 + score, 2]] };
    });
    const { standings } = await conducted(search, desk);
    const best = Math.max(...search.candidates.map(({ parameters }) => Number(Object.values(parameters)[0])));
    assert.notEqual(rate, best, 'the candidate of fewer judges is not the best one anyway');
    assert.equal(search.candidates[standings[0]!.candidate - 1]!.parameters['trainer.parameters.rate'], best);
    const { value, compared } = standings.find(({ candidate }) => candidate === 2)!;
    assert.equal(value, 0.9 + Number(rate) / 1000);
    assert.ok(Math.abs(compared! - (0.6 + Number(rate) / 1000)) < 1e-9, String(compared));
  });

  it('goes on past trials that fail, are refused or do not tell the metric, and ranks them last with their sentence', async () => {
    const search = searchOf();
    const [, second, third, fourth] = search.candidates.map(({ parameters }) => Object.values(parameters)[0]);
    const desk = new FakeDesk((plan) => {
      if (rateOf(plan) === second) return { state: 'failed', reason: 'the quorum is lost' };
      if (rateOf(plan) === third) return { state: 'completed' };
      if (rateOf(plan) === fourth) return 'refused';
      return scored(rateOf(plan));
    });
    const { standings } = await conducted(search, desk);
    assert.deepEqual(
      standings.slice(-3).map(({ candidate, value, reason }) => [candidate, value, reason]),
      [
        [2, null, 'failed: the quorum is lost'],
        [3, null, 'no site reported score after round 1'],
        [4, null, 'refused by the coordinator: the plan: no such thing'],
      ],
    );
    assert.ok(!desk.runs.some(({ plan }) => [second, third, fourth].includes(rateOf(plan)) && plan.rounds > 1));
  });

  it('ends when no trial of a rung tells the metric', async () => {
    const desk = new FakeDesk(() => ({ state: 'failed', reason: 'of all' }));
    const { standings, stopped } = await conducted(searchOf(), desk);
    assert.equal(desk.runs.length, 9);
    assert.match(stopped!, /no trial of rung 1/);
    assert.ok(standings.every(({ value }) => value === null));
  });

  it('goes on when the coordinator refuses the first plan as when it refuses a later one', async () => {
    const search = searchOf();
    const [first] = search.candidates.map(({ parameters }) => Object.values(parameters)[0]);
    const { standings } = await conducted(
      search,
      new FakeDesk((plan) => (rateOf(plan) === first ? 'refused' : scored(rateOf(plan)))),
    );
    const { candidate, value, reason } = standings.at(-1)!;
    assert.deepEqual([candidate, value, reason], [1, null, 'refused by the coordinator: the plan: no such thing']);
    assert.ok(standings[0]!.value !== null);
  });

  it('ends with the sentence of each when the coordinator refuses all, with nothing submitted', async () => {
    const desk = new FakeDesk(() => 'refused');
    const { standings, stopped } = await conducted(searchOf(), desk);
    assert.deepEqual(desk.runs, []);
    assert.equal(standings.length, 9);
    assert.ok(standings.every(({ value, reason }) => value === null && reason.includes('no such thing')));
    assert.match(stopped!, /no trial of rung 1/);
  });

  it('runs a trial anew that it has aborted itself, and takes one that somebody else aborted for failed', async () => {
    const search = searchOf();
    const desk = new FakeDesk((plan) => scored(rateOf(plan)));
    desk.dieAfter = 8;
    await assert.rejects(conducted(search, desk), /killed/);
    const [interrupted, aborted] = desk.runs;
    interrupted!.end = { state: 'aborted', reason: INTERRUPTED };
    aborted!.end = { state: 'aborted', reason: 'wrong dataset' };
    desk.dieAfter = Number.POSITIVE_INFINITY;
    const { standings } = await conducted(search, desk);
    const runsOf = (candidate: number) => desk.runs.filter(({ plan }) => plan.name.endsWith(`-c${candidate}-r1`));
    assert.deepEqual([runsOf(1).length, runsOf(2).length], [2, 1]);
    assert.equal(standings.at(-1)!.reason, 'aborted: wrong dataset');
    assert.ok(standings.find(({ candidate }) => candidate === 1)!.value !== null);
  });

  const worlds = fc.record({
    seed: fc.nat(),
    candidates: fc.integer({ min: 2, max: 12 }),
    eta: fc.integer({ min: 2, max: 4 }),
    parallel: fc.integer({ min: 1, max: 4 }),
    /** Of each rate: -1 fails; few values, so that there are ties. */
    scores: fc.array(fc.integer({ min: -1, max: 4 }), { minLength: 40, maxLength: 40 }),
    deaths: fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 6 }),
  });
  const deskOf = (scores: readonly number[], bytes = (_plan: TrialPlan) => 0): FakeDesk =>
    new FakeDesk((plan) => {
      const score = scores[rateOf(plan) - 1]!;
      return score < 0
        ? { state: 'failed', reason: 'it cannot', bytes: bytes(plan) }
        : { ...scored(score), bytes: bytes(plan) };
    });
  const results = ({ standings, spent, stopped }: SearchEnd) => ({ standings, spent, stopped });

  it('that is killed anywhere, again and again, ends as one that is not, and runs no trial twice', async () => {
    await fc.assert(
      fc.asyncProperty(worlds, async ({ parallel, scores, deaths, ...settings }) => {
        const search = searchOf(settings);
        const undisturbed = await conducted(search, deskOf(scores), { parallel });
        const desk = deskOf(scores);
        for (const death of deaths) {
          desk.dieAfter = death;
          await conducted(search, desk, { parallel }).catch((error: Error) => assert.match(error.message, /killed/));
        }
        desk.dieAfter = Number.POSITIVE_INFINITY;
        assert.deepEqual(results(await conducted(search, desk, { parallel })), results(undisturbed));
        const names = desk.runs.map(({ plan }) => plan.name);
        assert.equal(new Set(names).size, names.length);
        assert.ok(desk.mostAtOnce <= parallel);
      }),
      { numRuns: 60 },
    );
  });

  it('never exceeds its budget of rounds and bytes, killed or not', async () => {
    await fc.assert(
      fc.asyncProperty(
        worlds,
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 6000 }),
        async ({ parallel, scores, deaths, ...settings }, rounds, bytes) => {
          const search = { ...searchOf(settings), budget: { rounds, bytes } };
          const desk = deskOf(scores, (plan) => 50 + 100 * plan.rounds);
          for (const death of deaths) {
            desk.dieAfter = death;
            await conducted(search, desk, { parallel }).catch((error: Error) => assert.match(error.message, /killed/));
          }
          desk.dieAfter = Number.POSITIVE_INFINITY;
          const { stopped, spent } = await conducted(search, desk, { parallel });
          const done = desk.runs.reduce(
            (sum, { plan, end }) => sum + (end!.state === 'completed' ? plan.rounds : 0),
            0,
          );
          const moved = desk.runs.reduce((sum, run) => sum + run.bytes, 0);
          assert.ok(done <= rounds, `${done} of ${rounds}`);
          // Of trials that did no round nothing can be learned: those before the first success are begun one by one.
          const told = desk.runs.findIndex(({ end }) => end?.state === 'completed');
          if (told >= 0) {
            const later = desk.runs.slice(told + 1).reduce((sum, run) => sum + run.bytes, 0);
            assert.ok(later === 0 || moved <= bytes, `${moved} of ${bytes}`);
          }
          assert.deepEqual(spent, { rounds: done, bytes: moved });
          if (stopped?.includes('budget')) assert.ok(done < totalRounds(search.rungs));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('begins nothing more when its time is over, and goes on when the budget is raised', async () => {
    const search = searchOf();
    const desk = new FakeDesk((plan) => scored(rateOf(plan)));
    const short = await conducted({ ...search, budget: { wallTime: 3500 } }, desk);
    // Each submission takes a second of the desk's clock, and the first one starts it.
    assert.equal(desk.runs.length, 5);
    assert.match(short.stopped!, /has taken 4 s, and the budget is 3.5 s/);
    assert.equal(short.standings[0]!.value, Math.max(...short.standings.map(({ value }) => value!)));
    const { stopped } = await conducted(search, desk);
    assert.deepEqual([stopped, desk.runs.length], [undefined, 13]);
  });
});
