import assert from 'node:assert/strict';
import type { PlanInput } from '../../../federation/plan';
import { evaluate, opened, reasonOf, started, TRAIN_ONLY } from './courses';

describe('a run that ends early', () => {
  const play = (plan: Partial<PlanInput>, values: readonly number[]) => {
    const story = started({ rounds: 10, ...plan });
    for (const value of values) {
      story.answerAll();
      // Weighted by samples: b alone decides.
      evaluate(story, { a: [0, 0], b: [value, 5], c: [0, 0], d: [0, 0] }, plan.earlyStop?.metric);
    }
    return story;
  };

  it('stops after so many rounds without a better value, and names the best model', () => {
    const story = play({ earlyStop: { metric: 'dice', patience: 2 } }, [0.5, 0.7, 0.6, 0.7]);
    assert.equal(story.state.outcome?.kind, 'completed');
    assert.equal(reasonOf(story), 'stopped early: dice has not been better than 0.7000 of round 2 for 2 rounds');
    const end = story.events.at(-1)!;
    assert.ok(end.type === 'run-completed');
    assert.deepEqual(end.best, { round: 2, digest: story.state.models[2]!.digest, metric: 'dice', value: 0.7 });
    assert.equal(end.digest, story.state.models[4]!.digest);
  });

  it('weighs the sites by their samples', () => {
    const story = started({ rounds: 1, earlyStop: { metric: 'dice', patience: 1 } });
    story.answerAll();
    evaluate(story, { a: [0.1, 1], b: [0.9, 3], c: [0.5, 0], d: [0.5, 4] });
    const end = story.events.at(-1)!;
    assert.ok(end.type === 'run-completed' && end.best);
    assert.ok(Math.abs(end.best.value - (0.1 + 2.7 + 2) / 8) < 1e-12);
  });

  it('has its last figures from the sites that did not train for an earlier round, though it is over with them', () => {
    const buffer = { size: 9, maxStaleness: 9 };
    const earlyStop = { metric: 'dice', patience: 1 };
    const story = started({ rounds: 9, quorum: 2, lateUpdates: 'buffer', buffer, earlyStop });
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    story.pass(60_000);
    for (const round of [1, 2]) {
      for (const site of ['a', 'b', 'c']) story.deliver(site);
      if (round === 1) for (const site of ['a', 'b', 'c']) story.deliver(site);
    }
    assert.match(reasonOf(story), /has not been better than 0.9000 of round 1 for 1 rounds/);
    assert.deepEqual(opened(story, 'evaluate').at(-1)!.cohort, ['a', 'b', 'c']);
  });

  it('takes less for better when told so, and only so much for a difference', () => {
    const min = { metric: 'dice', patience: 2, mode: 'min' } as const;
    assert.equal(play({ earlyStop: min }, [5, 4, 3, 2]).state.outcome, undefined);
    assert.match(reasonOf(play({ earlyStop: min }, [5, 6, 7])), /than 5.000 of round 1 for 2 rounds/);
    const coarse = { metric: 'dice', patience: 2, minimumDelta: 0.1 };
    assert.match(reasonOf(play({ earlyStop: coarse }, [0.5, 0.55, 0.6])), /of round 1 by more than 0.1 for 2 rounds/);
    assert.equal(play({ earlyStop: coarse }, [0.5, 0.55, 0.61]).state.outcome, undefined);
  });

  it('takes less of a loss for better, unless told otherwise', () => {
    for (const metric of ['val_loss', 'objective', 'hausdorff95']) {
      const earlyStop = { metric, patience: 1 };
      assert.equal(play({ earlyStop }, [0.9, 0.5]).state.outcome, undefined, metric);
      assert.match(reasonOf(play({ earlyStop }, [0.5, 0.9])), /^stopped early: .* has not been better/);
      assert.match(reasonOf(play({ earlyStop: { ...earlyStop, mode: 'max' } }, [0.9, 0.5])), /^stopped early/);
    }
  });

  it('stops when nobody reports the metric, and says so', () => {
    const story = started({ rounds: 9, earlyStop: { metric: 'jaccard', patience: 2 } });
    for (let i = 0; i < 4; i++) story.answerAll();
    assert.match(reasonOf(story), /no site has reported jaccard in 2 rounds/);
  });

  it('goes on with the comparison of as many rounds as there were', () => {
    const story = play(
      { earlyStop: { metric: 'dice', patience: 1 }, evaluation: { everyRound: true, siteModels: true } },
      [0.5, 0.4],
    );
    for (let i = 0; i < 3; i++) story.answerAll();
    assert.deepEqual(story.stages().slice(-3), ['train-alone 1', 'train-alone 2', 'cross-evaluate 2']);
    assert.equal(story.state.outcome?.kind, 'completed');
    assert.match(reasonOf(story), /^stopped early: dice/);
  });

  it('spends no more than its budget of rounds, time or bytes', () => {
    const rounds = started({ rounds: 9, budget: { rounds: 2 }, evaluation: TRAIN_ONLY });
    for (let i = 0; i < 2; i++) rounds.answerAll();
    assert.equal(reasonOf(rounds), 'stopped early: the budget of 2 rounds is spent');
    const time = started({ rounds: 9, budget: { wallTime: '100s' }, evaluation: TRAIN_ONLY });
    time.pass(50_000);
    time.answerAll();
    time.pass(49_999);
    time.answerAll();
    assert.equal(time.state.outcome, undefined);
    time.pass(1);
    time.answerAll();
    assert.equal(reasonOf(time), 'stopped early: the run has taken 100 s, and the budget is 100 s');
  });

  it('spends nothing of its time while it is paused, though a round closes meanwhile', () => {
    const story = started({ rounds: 9, budget: { wallTime: '100s' }, evaluation: TRAIN_ONLY });
    story.pass(50_000);
    const until = new Date(story.now + 3600_000).toISOString();
    story.command({ kind: 'pause', operator: 'ada', reason: 'maintenance', until });
    story.pass(1800_000);
    story.answerAll();
    assert.equal(story.state.models.length, 2);
    assert.equal(story.state.outcome, undefined);
    story.command({ kind: 'resume', operator: 'ada' });
    story.pass(49_999);
    story.answerAll();
    assert.equal(story.state.outcome, undefined);
    story.pass(1);
    story.answerAll();
    assert.equal(reasonOf(story), 'stopped early: the run has taken 100 s, and the budget is 100 s');
  });

  it('that has done all rounds of its plan has not ended early', () => {
    const story = started({ rounds: 2, budget: { rounds: 2 }, evaluation: TRAIN_ONLY });
    for (let i = 0; i < 2; i++) story.answerAll();
    assert.equal(story.state.outcome?.kind, 'completed');
    assert.equal(reasonOf(story), '');
  });
});
