import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { PlanInput } from '../../../federation/plan';
import { acceptedUpdates, awaits, hasAccepted } from '../../../fl-coordinator/runs/going';
import { pendingModel } from '../../../fl-coordinator/runs/pending-model';
import { reduce } from '../../../fl-coordinator/runs/reduce';
import { isNeeded, runObjectOf } from '../../../fl-coordinator/runs/run-objects';
import { type RunState, stagesOf } from '../../../fl-coordinator/runs/run-state';
import { sameStage } from '../../../fl-coordinator/runs/stage';
import { openTaskOf, openTasks } from '../../../fl-coordinator/runs/tasks';
import { RUN, Story } from './story';

/** How rounds follow each other: pauses, samples, early ends, late updates, asynchronous and cyclic runs. */

const SITES = ['a', 'b', 'c', 'd'];
const TRAIN_ONLY = { everyRound: false } as const;

function started(plan: Partial<PlanInput>, sites: readonly string[] = SITES): Story {
  const story = new Story(plan, sites);
  story.approveAll();
  story.deliver(openTasks(story.state)[0]!.site);
  return story;
}

const reasonOf = ({ state: { outcome } }: Story): string => (outcome && 'reason' in outcome && outcome.reason) || '';
const tasksOf = ({ state }: Story) => openTasks(state).map(({ id }) => id.slice(RUN.length + 1));
const opened = (story: Story, kind: string) =>
  story.events.flatMap((event) => (event.type === 'stage-opened' && event.stage.kind === kind ? [event] : []));

/** What the model of each round was made of, as the coordinator would have made it. */
function combined(story: Story): string[][] {
  const rounds: string[][] = [];
  let state: RunState | undefined;
  for (const event of story.events) {
    if (event.type === 'model-published' && event.round > 0) {
      const work = pendingModel(state!);
      assert.ok(work?.kind === 'aggregate' && work.round === event.round);
      rounds.push(
        work.updates.map(({ key, from }) => {
          const name = key.replace(/^.*rounds\/0*(\d+)\/updates\/(.*)\.safetensors$/, '$1/$2');
          return from ? `${name} x ${from.factor.toFixed(3)}` : name;
        }),
      );
    }
    state = reduce(state, RUN, event);
  }
  return rounds;
}

function evaluate(
  story: Story,
  values: Readonly<Record<string, readonly [value: number, samples: number]>>,
  metric = 'dice',
): void {
  for (const { site, stage } of openTasks(story.state)) {
    const [value, samples] = values[site]!;
    const evaluations = [{ model: 'global', metrics: { [metric]: value } }];
    const result = { kind: 'evaluation' as const, samples, evaluations, peakRssBytes: 0 };
    story.command({ kind: 'report-evaluation', stage, site, result });
  }
}

describe('a paused run', () => {
  const pause = (story: Story, millis = 1e7) =>
    story.command({
      kind: 'pause',
      operator: 'ada',
      reason: 'maintenance',
      until: new Date(story.now + millis).toISOString(),
    });

  it('lets sites finish what they are at, accepts it, and opens nothing', () => {
    const story = started({ rounds: 2, evaluation: TRAIN_ONLY });
    story.deliver('a');
    assert.equal(pause(story), true);
    for (const site of ['b', 'c', 'd']) assert.equal(story.deliver(site), true);
    assert.equal(story.state.models.length, 2, 'the round has closed, and its model is made');
    assert.deepEqual(tasksOf(story), []);
    assert.equal(story.command({ kind: 'resume', operator: 'ada' }), true);
    assert.deepEqual(tasksOf(story), ['train/2/a', 'train/2/b', 'train/2/c', 'train/2/d']);
  });

  it('loses no site while it lasts, and gives the rest of the time back', () => {
    const story = started({ rounds: 1, evaluation: TRAIN_ONLY });
    story.pass(50_000);
    const before = Date.parse(openTasks(story.state)[0]!.deadline) - story.now;
    pause(story);
    assert.ok(Date.parse(openTasks(story.state)[0]!.deadline) >= story.now + 1e7 + before, 'sites have the time too');
    story.pass(5_000_000);
    assert.equal(openTasks(story.state).length, 4);
    story.command({ kind: 'resume', operator: 'ada' });
    assert.equal(Date.parse(openTasks(story.state)[0]!.deadline) - story.now, before);
    story.pass(before - 1);
    assert.equal(story.state.outcome, undefined);
    story.pass(1);
    assert.match(reasonOf(story), /quorum of 4/);
  });

  it('waits for approvals as long as it would have without the pause', () => {
    const story = new Story({}, SITES);
    pause(story);
    story.pass(1_000_000);
    assert.equal(story.state.outcome, undefined);
    story.command({ kind: 'resume', operator: 'ada' });
    story.pass(59_999);
    assert.equal(story.state.outcome, undefined);
    story.pass(1);
    assert.match(reasonOf(story), /before the deadline/);
  });

  it('fails at the end of its pause when nobody has resumed it', () => {
    const story = started({});
    pause(story, 3_600_000);
    story.pass(3_600_000);
    assert.match(reasonOf(story), /^ada paused the run until .*, and nobody has resumed it$/);
  });

  it('is not paused twice, and a run that is not paused is not resumed', () => {
    const story = started({});
    assert.equal(story.command({ kind: 'resume', operator: 'ada' }), false);
    assert.equal(pause(story), true);
    assert.equal(pause(story), false);
    story.command({ kind: 'abort', operator: 'ada', reason: 'over' });
    assert.equal(story.command({ kind: 'resume', operator: 'ada' }), false);
  });
});

describe('a sampled cohort', () => {
  it('is drawn anew for each round, from the seed of the plan, and evaluations ask everybody', () => {
    const play = (seed: number) => {
      const story = started({ rounds: 8, cohort: { sample: 2 }, seed });
      while (!story.state.outcome) story.answerAll();
      return story;
    };
    const story = play(1);
    const cohorts = opened(story, 'train').map(({ cohort }) => cohort);
    assert.ok(cohorts.every((cohort) => cohort.length === 2 && cohort[0]! < cohort[1]!));
    assert.ok(new Set(cohorts.map(String)).size > 2);
    assert.ok(opened(story, 'train').every(({ seed }) => seed !== undefined));
    assert.deepEqual(opened(play(1), 'train'), opened(story, 'train'));
    assert.notDeepEqual(
      opened(play(2), 'train').map(({ cohort }) => cohort),
      cohorts,
    );
    assert.ok(opened(story, 'evaluate').every(({ cohort }) => cohort.length === SITES.length));
  });

  it('asks every site about as often as the others', () => {
    const story = started({ rounds: 200, cohort: { sample: 1 }, evaluation: TRAIN_ONLY });
    while (!story.state.outcome) story.answerAll();
    const asked = opened(story, 'train').flatMap(({ cohort }) => cohort);
    for (const site of SITES) {
      const times = asked.filter((other) => other === site).length;
      // 50 expected, standard deviation 6.1.
      assert.ok(times > 25 && times < 75, `${site} was asked ${times} times`);
    }
  });

  it('holds every mandatory site, and a round without one fails with a sentence', () => {
    const story = started({ rounds: 9, cohort: { sample: 2 }, quorum: 1, mandatory: ['d'], evaluation: TRAIN_ONLY });
    for (let i = 0; i < 8; i++) story.answerAll();
    assert.ok(opened(story, 'train').every(({ cohort }) => cohort.includes('d')));
    const { stage } = openTasks(story.state)[0]!;
    story.command({ kind: 'lose-site', stage, site: 'd', reason: 'no GPU' });
    assert.equal(reasonOf(story), 'round 9 cannot close without d, which is mandatory (d: no GPU)');
  });

  it('needs the approval of as many sites as a round asks, and of the mandatory ones', () => {
    const story = new Story({ cohort: { sample: 2 }, mandatory: ['a'] }, SITES);
    story.command({ kind: 'refuse', site: 'b', reason: 'no' });
    story.command({ kind: 'refuse', site: 'c', reason: 'no' });
    story.command({ kind: 'approve', site: 'd' });
    story.command({ kind: 'approve', site: 'a' });
    assert.equal(story.state.open?.stage.kind, 'initialise');
    const refused = new Story({ cohort: { sample: 2 }, mandatory: ['a'] }, SITES);
    refused.command({ kind: 'refuse', site: 'a', reason: 'more rounds than allowed' });
    assert.equal(reasonOf(refused), 'a, which is mandatory, refused the plan (more rounds than allowed)');
  });

  it('has its quorum within the sample', () => {
    const story = started({ rounds: 1, cohort: { sample: 2 }, evaluation: TRAIN_ONLY });
    story.command({
      kind: 'lose-site',
      stage: openTasks(story.state)[0]!.stage,
      site: openTasks(story.state)[0]!.site,
      reason: 'x',
    });
    assert.match(reasonOf(story), /quorum of 2/);
  });
});

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

describe('late updates', () => {
  const plan = { rounds: 4, quorum: 2, evaluation: TRAIN_ONLY } as const;
  /** Everybody but d delivers, and the deadline passes. */
  const roundWithoutD = (story: Story) => {
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    story.pass(60_000);
  };

  it('count in the next round, discounted, from the model that they started from', () => {
    const story = started({ ...plan, lateUpdates: 'next-round' });
    roundWithoutD(story);
    assert.deepEqual(tasksOf(story), ['train/2/a', 'train/2/b', 'train/2/c', 'train/1/d']);
    assert.equal(story.deliver('d'), true);
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    assert.deepEqual(combined(story).slice(0, 2), [
      ['1/a', '1/b', '1/c'],
      ['2/a', '2/b', '2/c', '1/d x 0.707'],
    ]);
    assert.deepEqual(
      tasksOf(story),
      SITES.map((site) => `train/3/${site}`),
    );
  });

  it('of a round before that one are given up', () => {
    const story = started({ ...plan, lateUpdates: 'next-round' });
    roundWithoutD(story);
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    assert.deepEqual(
      tasksOf(story),
      SITES.map((site) => `train/3/${site}`),
    );
    const result = { kind: 'lose-site', stage: { kind: 'train', round: 1 }, site: 'd', reason: 'too late' } as const;
    assert.equal(story.command(result), false);
  });

  it('are not used when the plan says drop', () => {
    const story = started({ ...plan, lateUpdates: 'drop' });
    roundWithoutD(story);
    assert.deepEqual(
      tasksOf(story),
      SITES.map((site) => `train/2/${site}`),
    );
  });

  it('that come while the global model is judged count beside the newest of the same site', () => {
    const story = started({ rounds: 2, quorum: 2, lateUpdates: 'next-round' });
    roundWithoutD(story);
    assert.deepEqual(tasksOf(story), ['evaluate/1/a', 'evaluate/1/b', 'evaluate/1/c', 'train/1/d']);
    story.deliver('d');
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    for (const site of SITES) story.deliver(site);
    assert.deepEqual(combined(story)[1], ['2/a', '2/b', '2/c', '2/d', '1/d x 0.707']);
  });

  it('wait in the buffer until there are enough of them', () => {
    const buffer = { size: 2, maxStaleness: 3, step: 0.5 };
    const story = started({ ...plan, rounds: 5, lateUpdates: 'buffer', buffer });
    roundWithoutD(story);
    story.deliver('d');
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    assert.deepEqual(combined(story)[1], ['2/a', '2/b', '2/c'], 'one of two is there');
    for (const site of ['a', 'b']) story.deliver(site);
    story.pass(60_000); // c and d are late with round 3
    story.deliver('c');
    for (const site of ['a', 'b']) story.deliver(site);
    assert.deepEqual(combined(story)[3], ['4/a', '4/b', '3/c x 0.354', '1/d x 0.250']);
  });

  it('of a site that fails after all are forgotten, and the site is asked again', () => {
    const story = started({ ...plan, lateUpdates: 'next-round' });
    roundWithoutD(story);
    story.command({ kind: 'lose-site', stage: { kind: 'train', round: 1 }, site: 'd', reason: 'out of memory' });
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    assert.deepEqual(
      tasksOf(story),
      SITES.map((site) => `train/3/${site}`),
    );
  });

  it('are given up when the quorum needs their sites', () => {
    const story = started({ ...plan, quorum: 3, lateUpdates: 'buffer', buffer: { size: 9, maxStaleness: 9 } });
    roundWithoutD(story);
    assert.deepEqual(tasksOf(story).at(-1), 'train/1/d');
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    story.pass(1);
    assert.deepEqual(tasksOf(story), ['train/3/a', 'train/3/b', 'train/3/c', 'train/1/d']);
    const quick = started({ ...plan, quorum: 2, lateUpdates: 'next-round' });
    for (const site of ['a', 'b']) quick.deliver(site);
    quick.pass(60_000);
    for (const site of ['a']) quick.deliver(site);
    assert.deepEqual(tasksOf(quick), ['train/2/b', 'train/1/c', 'train/1/d']);
    quick.pass(60_000);
    assert.match(reasonOf(quick), /quorum of 2/);
  });

  it('are kept by the retention rule until they are combined', () => {
    const story = started({ ...plan, lateUpdates: 'next-round' });
    roundWithoutD(story);
    story.deliver('d');
    const object = runObjectOf(RUN, `runs/${RUN}/rounds/0001/updates/d.safetensors`)!;
    const other = runObjectOf(RUN, `runs/${RUN}/rounds/0001/updates/a.safetensors`)!;
    assert.deepEqual([isNeeded(story.state, object), isNeeded(story.state, other)], [true, false]);
    for (const site of ['a', 'b', 'c']) story.deliver(site);
    assert.equal(isNeeded(story.state, object), false);
  });
});

describe('an asynchronous run', () => {
  const plan = { rounds: 3, mode: 'asynchronous', buffer: { size: 2 }, evaluation: TRAIN_ONLY } as const;

  it('publishes a model whenever the buffer is full, whoever filled it, and nobody stops training', () => {
    const story = started(plan, ['a', 'b', 'c']);
    assert.deepEqual(tasksOf(story), ['train/1/a', 'train/1/b', 'train/1/c']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['train/1.2/a', 'train/1/b', 'train/1/c']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['train/2/a', 'train/1/b', 'train/1/c']);
    story.deliver('b');
    assert.deepEqual(tasksOf(story), ['train/2/a', 'train/2/b', 'train/1/c']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['train/3/a', 'train/2/b', 'train/1/c']);
    story.deliver('c');
    story.deliver('b');
    assert.equal(story.state.outcome?.kind, 'completed');
    assert.deepEqual(combined(story), [
      ['1/a', '1/a.2'],
      ['2/a', '1/b x 0.707'],
      ['2/b x 0.707', '1/c x 0.577'],
    ]);
  });

  it('draws other numbers in each turn, and the same ones after a restart', () => {
    const story = started(plan);
    const seed = () => openTasks(story.state)[0]!.seed;
    const first = seed();
    story.deliver('a');
    assert.notEqual(seed(), first);
  });

  it('makes the same model of the same updates in whatever order they came', () => {
    const play = (order: readonly string[]) => {
      const story = started({ ...plan, rounds: 1, buffer: { size: 3 } });
      for (const site of order) story.deliver(site);
      return combined(story);
    };
    assert.deepEqual(play(['a', 'b', 'c']), play(['c', 'a', 'b']));
  });

  it('gives up training that would be too stale, and starts the site anew', () => {
    const story = started({ ...plan, rounds: 4, buffer: { size: 1, maxStaleness: 1 } }, ['a', 'b']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['train/2/a', 'train/1/b']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['train/3/a', 'train/3/b']);
  });

  it('closes at the deadline with its quorum, and fails below it', () => {
    const few = started({ ...plan, quorum: 1 });
    few.deliver('a');
    few.pass(60_000);
    assert.deepEqual(combined(few), [['1/a']]);
    const none = started(plan);
    none.deliver('a');
    none.pass(60_000);
    assert.match(reasonOf(none), /round 1 has 1 of 2 updates at its deadline/);
  });

  it('fails at once when no site trains any more', () => {
    const story = started(plan, ['a', 'b']);
    for (const { site, stage } of openTasks(story.state))
      story.command({ kind: 'lose-site', stage, site, reason: 'no GPU' });
    assert.match(reasonOf(story), /round 1 has 0 of 2 updates and no site trains any more \(a: no GPU; b: no GPU\)/);
  });

  it('has those judge that do not train, and counts what comes meanwhile', () => {
    const story = started({ ...plan, buffer: { size: 1 }, evaluation: { everyRound: true } }, ['a', 'b']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['evaluate/1/a', 'train/1/b']);
    story.deliver('b');
    story.deliver('a');
    assert.deepEqual(combined(story)[1], ['1/b x 0.707'], 'the next round was full when it opened');
  });

  it('has all sites judge the last model: what they still train for, nothing would combine', () => {
    const everyRound = { evaluation: { everyRound: true } };
    const story = started({ ...plan, ...everyRound, rounds: 2, buffer: { size: 1 } }, ['a', 'b']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['evaluate/1/a', 'train/1/b']);
    story.deliver('a');
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['evaluate/2/a', 'evaluate/2/b']);
    const late = { kind: 'lose-site', stage: { kind: 'train', round: 1 }, site: 'b', reason: 'given up' } as const;
    assert.equal(story.command(late), false);
    story.answerAll();
    assert.equal(story.state.outcome?.kind, 'completed');
  });

  it('has all sites judge the model with which its budget is spent', () => {
    const everyRound = { evaluation: { everyRound: true } };
    const story = started({ ...plan, ...everyRound, budget: { rounds: 1 }, buffer: { size: 1 } }, ['a', 'b']);
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['evaluate/1/a', 'evaluate/1/b']);
    story.answerAll();
    assert.match(reasonOf(story), /^stopped early: the budget of 1 rounds is spent/);
  });

  it('gives no further turn while it is paused', () => {
    const story = started({ ...plan, buffer: { size: 9 } }, ['a', 'b']);
    const until = new Date(story.now + 1e6).toISOString();
    story.command({ kind: 'pause', operator: 'ada', reason: '', until });
    story.deliver('a');
    assert.deepEqual(tasksOf(story), ['train/1/b']);
    story.command({ kind: 'resume', operator: 'ada' });
    assert.deepEqual(tasksOf(story), ['train/1.2/a', 'train/1/b']);
  });
});

describe('a cyclic run', () => {
  const plan = { rounds: 2, mode: 'cyclic', evaluation: TRAIN_ONLY } as const;

  it('hands the weights from site to site', () => {
    const story = started(plan, ['a', 'b', 'c']);
    const seen: string[] = [];
    while (!story.state.outcome) {
      const [task, ...others] = openTasks(story.state);
      assert.equal(others.length, 0);
      seen.push(`${task!.site} from ${task!.models[0]!.key.replace(`runs/${RUN}/rounds/`, '')}`);
      story.deliver(task!.site);
    }
    assert.deepEqual(seen, [
      'a from 0000/model.safetensors',
      'b from 0001/updates/a.safetensors',
      'c from 0001/updates/b.2.safetensors',
      'a from 0001/model.safetensors',
      'b from 0002/updates/a.safetensors',
      'c from 0002/updates/b.2.safetensors',
    ]);
    assert.deepEqual(combined(story), [['1/c.3'], ['2/c.3']]);
  });

  it('goes past a site that fails, as long as the quorum can be reached', () => {
    const story = started({ ...plan, rounds: 1, quorum: 2 }, ['a', 'b', 'c']);
    story.deliver('a');
    const [b] = openTasks(story.state);
    story.command({ kind: 'lose-site', stage: b!.stage, site: 'b', reason: 'no GPU' });
    assert.match(openTasks(story.state)[0]!.models[0]!.key, /0001\/updates\/a\.safetensors$/);
    story.deliver('c');
    assert.equal(story.state.outcome?.kind, 'completed');
    const strict = started({ ...plan, rounds: 1 }, ['a', 'b', 'c']);
    strict.deliver('a');
    strict.pass(60_000);
    assert.match(reasonOf(strict), /^round 1 cannot reach its quorum of 3 any more \(b: nothing came before/);
  });

  it('ends a round with the last site that delivered', () => {
    const story = started({ ...plan, rounds: 1, quorum: 1 }, ['a', 'b', 'c']);
    story.deliver('a');
    for (const site of ['b', 'c']) {
      story.command({ kind: 'lose-site', stage: openTasks(story.state)[0]!.stage, site, reason: 'no GPU' });
    }
    assert.deepEqual(combined(story), [['1/a']]);
  });

  it('keeps to the order with which the round began', () => {
    const story = new Story({ ...plan, quorum: 2 }, ['a', 'b', 'c']);
    for (const site of ['a', 'c']) story.command({ kind: 'approve', site });
    story.pass(60_000);
    story.deliver('a');
    story.deliver('a');
    story.command({ kind: 'approve', site: 'b' });
    assert.deepEqual(tasksOf(story), ['train/1.2/c']);
    story.deliver('c');
    assert.deepEqual(opened(story, 'train').at(-1)!.order, ['a', 'b', 'c'], 'the next round asks the newcomer too');
  });
});

describe('any history, whatever the course of the run', () => {
  const course = fc.constantFrom<Partial<PlanInput>>(
    {},
    { cohort: { sample: 2 }, quorum: 1 },
    { cohort: { sample: 3 }, mandatory: ['b'], quorum: 2 },
    { quorum: 1, lateUpdates: 'next-round' },
    { quorum: 2, lateUpdates: 'buffer', buffer: { size: 2, maxStaleness: 2 } },
    { cohort: { sample: 2 }, quorum: 1, lateUpdates: 'next-round' },
    { mode: 'asynchronous', buffer: { size: 1, maxStaleness: 1 } },
    { mode: 'asynchronous', buffer: { size: 3, maxStaleness: 2, step: 0.5 }, quorum: 1 },
    { mode: 'cyclic', quorum: 2 },
    { mode: 'cyclic', cohort: { sample: 2 }, quorum: 1 },
  );
  const plan = fc
    .record({
      course,
      rounds: fc.integer({ min: 1, max: 4 }),
      everyRound: fc.boolean(),
      ends: fc.constantFrom<Partial<PlanInput>>({}, { budget: { rounds: 2 } }, { budget: { wallTime: '200s' } }),
    })
    .map(({ course, rounds, everyRound, ends }) => ({ ...course, ...ends, rounds, evaluation: { everyRound } }));
  const move = fc.record({
    site: fc.constantFrom(...SITES),
    what: fc.constantFrom(
      'deliver',
      'deliver',
      'deliver',
      'lose',
      'reject',
      'wait',
      'refuse',
      'pause',
      'resume',
      'stale',
    ),
  });
  type Move = typeof move extends fc.Arbitrary<infer M> ? M : never;

  const play = (story: Story, { site, what }: Move): void => {
    const task = openTasks(story.state).find((open) => open.site === site);
    if (what === 'wait') story.pass(20_000);
    else if (what === 'refuse') story.command({ kind: 'refuse', site, reason: 'policy' });
    else if (what === 'pause') {
      const until = new Date(story.now + 100_000).toISOString();
      story.command({ kind: 'pause', operator: 'ada', reason: '', until });
    } else if (what === 'resume') story.command({ kind: 'resume', operator: 'ada' });
    else if (what === 'stale') {
      // A result of something that is long over, or has never been asked.
      const stage = { kind: 'train' as const, round: 1, turn: 7 };
      assert.equal(story.command({ kind: 'lose-site', stage, site, reason: 'what?' }), false);
    } else if (!task) story.command({ kind: 'approve', site });
    else if (what === 'deliver') story.deliver(site);
    else {
      const kind = what === 'lose' ? ('lose-site' as const) : ('reject-update' as const);
      story.command({ kind, stage: task.stage, site, reason: 'because' });
    }
  };

  it('reaches exactly one final state by itself, and no task is open after it', () => {
    fc.assert(
      fc.property(plan, fc.array(move, { maxLength: 80 }), (settings, moves) => {
        const story = new Story(settings, SITES);
        for (const each of moves) play(story, each);
        for (let i = 0; i < 60 && !story.state.outcome; i++) story.pass(60_000);
        assert.ok(story.state.outcome);
        const finals = story.events.filter(({ type }) => /^run-(completed|failed|aborted)$/.test(type));
        assert.equal(finals.length, 1);
        assert.equal(story.events.at(-1), finals[0]);
        assert.deepEqual(openTasks(story.state), []);
      }),
      { numRuns: 400 },
    );
  });

  it('is replayed from any prefix to the same state, which asks for the same', () => {
    fc.assert(
      fc.property(plan, fc.array(move, { maxLength: 60 }), (settings, moves) => {
        const story = new Story(settings, SITES);
        const states = new Map<number, RunState>([[story.state.seq, story.state]]);
        for (const each of moves) {
          play(story, each);
          states.set(story.state.seq, story.state);
        }
        let replayed: RunState | undefined;
        for (const event of story.events) {
          replayed = reduce(replayed, RUN, event);
          const lived = states.get(event.seq);
          if (!lived) continue;
          assert.deepEqual(replayed, lived);
          assert.deepEqual(openTasks(replayed), openTasks(lived));
        }
      }),
      { numRuns: 200 },
    );
  });

  it('says of one site what it says of all of them', () => {
    fc.assert(
      fc.property(plan, fc.array(move, { maxLength: 60 }), (settings, moves) => {
        const story = new Story(settings, SITES);
        story.approveAll();
        for (const each of moves) {
          play(story, each);
          const { state } = story;
          const tasks = openTasks(state);
          const accepted = acceptedUpdates(state);
          for (const site of [...SITES, 'stranger']) {
            const task = openTaskOf(state, site);
            assert.deepEqual(
              task,
              tasks.find((open) => open.site === site),
            );
            if (task) assert.ok(awaits(state, task.stage, site));
            const stages = [...accepted, ...stagesOf(state)].map(({ stage }) => stage);
            for (const stage of stages) {
              const known = accepted.some((update) => update.site === site && sameStage(update.stage, stage));
              assert.equal(hasAccepted(state, stage, site), known, `${site} ${JSON.stringify(stage)}`);
            }
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it('combines every update at most once, none that is too stale, and each from the model that it started from', () => {
    fc.assert(
      fc.property(plan, fc.array(move, { maxLength: 80 }), (settings, moves) => {
        const story = new Story(settings, SITES);
        story.approveAll();
        for (const each of moves) play(story, each);
        const rounds = combined(story);
        const all = rounds.flat().map((text) => text.split(' ')[0]!);
        assert.equal(new Set(all).size, all.length);
        const limit = story.state.plan.buffer?.maxStaleness ?? 1;
        rounds.forEach((updates, index) => {
          assert.ok(updates.length > 0);
          for (const text of updates) {
            const staleness = index + 1 - Number(text.split('/')[0]);
            assert.ok(staleness >= 0 && staleness <= limit, text);
          }
        });
      }),
      { numRuns: 300 },
    );
  });
});
