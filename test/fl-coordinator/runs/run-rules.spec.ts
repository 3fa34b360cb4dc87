import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ClaraError } from '../../../base/errors';
import type { RunEvent } from '../../../fl-coordinator/runs/events';
import { pendingModel } from '../../../fl-coordinator/runs/pending-model';
import { reduce } from '../../../fl-coordinator/runs/reduce';
import type { RunState } from '../../../fl-coordinator/runs/run-state';
import { openTasks } from '../../../fl-coordinator/runs/tasks';
import { RUN, Story } from './story';

const SITES = ['northern', 'riverside', 'st-marys'];

const outcomeOf = (story: Story): string | undefined => story.state.outcome?.kind;

function reasonOf(story: Story): string {
  const { outcome } = story.state;
  return (outcome && 'reason' in outcome && outcome.reason) || '';
}

describe('the rules of a run', () => {
  it('ends with a reason that fits into an event, however much the sites said', () => {
    const story = new Story({}, SITES);
    story.approveAll();
    story.answerAll();
    const { stage } = openTasks(story.state)[0]!;
    story.command({ kind: 'lose-site', stage, site: 'northern', reason: 'no space left; '.repeat(1000) });
    assert.equal(outcomeOf(story), 'failed');
    assert.equal(reasonOf(story).length, 2000);
    assert.match(
      reasonOf(story),
      /^round 1 cannot reach its quorum of 3 any more \(northern: no space left; .*\.\.\.$/,
    );
  });

  it('trains and evaluates round by round until the plan is done', () => {
    const story = new Story({}, SITES);
    story.approveAll();
    for (let i = 0; i < 5; i++) story.answerAll();
    assert.deepEqual(story.stages(), ['initialise 0', 'train 1', 'evaluate 1', 'train 2', 'evaluate 2']);
    assert.equal(outcomeOf(story), 'completed');
    assert.equal(story.state.models.length, 3);
  });

  it('trains each site alone and crosses all models with all sites when the plan asks for site models', () => {
    const story = new Story({ evaluation: { everyRound: false, siteModels: true } }, SITES);
    story.approveAll();
    for (let i = 0; i < 5; i++) story.answerAll();
    const crossing = openTasks(story.state);
    assert.deepEqual(
      crossing.map(({ models }) => models.map(({ name }) => name)),
      SITES.map(() => ['global', 'site:northern', 'site:riverside', 'site:st-marys']),
    );
    story.answerAll();
    assert.deepEqual(story.stages().slice(1), [
      'train 1',
      'train 2',
      'train-alone 1',
      'train-alone 2',
      'cross-evaluate 2',
    ]);
    assert.equal(outcomeOf(story), 'completed');
  });

  it('crosses the global model and the last updates with all sites, without training alone, for crossSite', () => {
    const story = new Story({ quorum: 2, evaluation: { everyRound: false, crossSite: true } }, SITES);
    story.approveAll();
    story.answerAll();
    story.answerAll();
    // In the last round one site falls out: it has no update there, and judges all the same.
    const { stage } = openTasks(story.state)[0]!;
    story.command({ kind: 'lose-site', stage, site: 'riverside', reason: 'power cut' });
    story.answerAll();
    const crossing = openTasks(story.state);
    assert.deepEqual(
      crossing.map(({ site, models }) => [site, models.map(({ name }) => name)]),
      SITES.map((site) => [site, ['global', 'update:northern', 'update:st-marys']]),
    );
    assert.deepEqual(
      crossing[0]!.models.map(({ key }) => key),
      [
        `runs/${RUN}/rounds/0002/model.safetensors`,
        `runs/${RUN}/rounds/0002/updates/northern.safetensors`,
        `runs/${RUN}/rounds/0002/updates/st-marys.safetensors`,
      ],
    );
    story.answerAll();
    assert.deepEqual(story.stages().slice(1), ['train 1', 'train 2', 'cross-evaluate 2']);
    assert.equal(outcomeOf(story), 'completed');
  });

  it('crosses models trained alone and last updates in one matrix when a plan asks for both', () => {
    const story = new Story({ rounds: 1, evaluation: { everyRound: false, siteModels: true, crossSite: true } }, [
      'a',
      'b',
    ]);
    story.approveAll();
    for (let i = 0; i < 3; i++) story.answerAll();
    assert.deepEqual(
      openTasks(story.state)[0]!.models.map(({ name }) => name),
      ['global', 'site:a', 'site:b', 'update:a', 'update:b'],
    );
  });

  it('has the matrix of updates also when nobody could train alone', () => {
    const story = new Story({ rounds: 2, evaluation: { everyRound: false, siteModels: true, crossSite: true } }, [
      'a',
      'b',
    ]);
    story.approveAll();
    for (let i = 0; i < 3; i++) story.answerAll();
    for (const { site, stage } of openTasks(story.state)) {
      assert.equal(stage.kind, 'train-alone');
      story.command({ kind: 'lose-site', stage, site, reason: 'no' });
    }
    assert.deepEqual(
      openTasks(story.state)[0]!.models.map(({ name }) => name),
      ['global', 'update:a', 'update:b'],
    );
  });

  it('starts training alone from the initial model, and goes on from the own one', () => {
    const story = new Story({ evaluation: { everyRound: false, siteModels: true } }, SITES);
    story.approveAll();
    for (let i = 0; i < 3; i++) story.answerAll();
    assert.deepEqual(openTasks(story.state)[0]!.models[0]!.key, `runs/${RUN}/rounds/0000/model.safetensors`);
    story.answerAll();
    assert.deepEqual(openTasks(story.state)[0]!.models[0]!.key, `runs/${RUN}/alone/0001/updates/northern.safetensors`);
  });

  it('gives training alone the seeds of federated training, and a track of its own', () => {
    const story = new Story({ rounds: 1, evaluation: { everyRound: false, siteModels: true } }, SITES);
    story.approveAll();
    story.answerAll();
    const federated = openTasks(story.state);
    story.answerAll();
    const alone = openTasks(story.state);
    assert.deepEqual(
      alone.map(({ seed }) => seed),
      federated.map(({ seed }) => seed),
    );
    assert.deepEqual([federated[0]!.track, alone[0]!.track], ['federated', 'alone']);
    assert.equal(new Set(federated.map(({ seed }) => seed)).size, SITES.length);
  });

  it('aggregates in site order whatever the order of arrival', () => {
    for (const order of [SITES, [...SITES].reverse()]) {
      const story = new Story(
        { evaluation: { everyRound: false, siteModels: false }, siteWeights: { 'st-marys': 2 }, cohort: SITES },
        SITES,
      );
      story.approveAll();
      story.answerAll();
      const arriving = order.map((site) => [site, story.deliver(site, 3)]);
      assert.deepEqual(
        arriving,
        order.map((site) => [site, true]),
      );
      const closed = story.state.closed.at(-1)!;
      assert.deepEqual(closed.contributors, SITES);
      const before = { ...story.state, models: story.state.models.slice(0, 1), open: undefined } as RunState;
      const work = pendingModel(before);
      assert.ok(work?.kind === 'aggregate');
      assert.deepEqual(
        work.updates.map(({ weight, steps }) => [weight, steps]),
        [
          [3, 10],
          [3, 10],
          [6, 10],
        ],
      );
    }
  });

  it('closes a round at the deadline with a quorum, and drops what comes later', () => {
    const story = new Story({ quorum: 2 }, SITES);
    story.approveAll();
    story.answerAll();
    const late = openTasks(story.state).find(({ site }) => site === 'riverside')!;
    story.deliver('northern');
    story.deliver('st-marys');
    assert.equal(story.state.open?.stage.kind, 'train');
    story.pass(60_000);
    const closed = story.state.closed.find(({ stage }) => stage.kind === 'train')!;
    assert.deepEqual(closed.contributors, ['northern', 'st-marys']);
    assert.match((closed.results.get('riverside') as { reason: string }).reason, /before the deadline/);
    const accepted = story.command({ kind: 'lose-site', stage: late.stage, site: 'riverside', reason: 'late' });
    assert.equal(accepted, false);
    assert.equal(story.state.open?.stage.kind, 'evaluate');
  });

  it('fails at once, with every reason, when the quorum cannot be reached any more', () => {
    const story = new Story({ quorum: 2 }, SITES);
    story.approveAll();
    story.answerAll();
    const { stage } = openTasks(story.state)[0]!;
    story.command({ kind: 'lose-site', stage, site: 'northern', reason: 'disk is full' });
    assert.equal(outcomeOf(story), undefined);
    story.command({ kind: 'reject-update', stage, site: 'riverside', reason: 'tensor a is NaN' });
    assert.equal(outcomeOf(story), 'failed');
    assert.match(reasonOf(story), /quorum of 2.*northern: disk is full; riverside: tensor a is NaN/);
  });

  it('asks the next site for the initial model when one cannot make it, and fails when none can', () => {
    const story = new Story({ quorum: 1 }, SITES);
    story.approveAll();
    for (const site of SITES) {
      assert.deepEqual(
        openTasks(story.state).map((task) => task.site),
        [site],
      );
      story.command({ kind: 'lose-site', stage: { kind: 'initialise', round: 0 }, site, reason: 'no trainer' });
    }
    assert.equal(outcomeOf(story), 'failed');
  });

  it('ends when too many sites refuse, and says why', () => {
    const story = new Story({}, SITES);
    story.command({ kind: 'approve', site: 'northern' });
    story.command({ kind: 'refuse', site: 'riverside', reason: 'more than 10 rounds' });
    assert.match(reasonOf(story), /riverside: more than 10 rounds/);
  });

  it('ends when sites stay silent past the deadline, and names them', () => {
    const story = new Story({}, SITES);
    story.command({ kind: 'approve', site: 'northern' });
    story.pass(59_999);
    assert.equal(outcomeOf(story), undefined);
    story.pass(1);
    assert.match(reasonOf(story), /riverside, st-marys/);
  });

  it('refuses an update of zero samples, whose weight would be zero', () => {
    const story = new Story({ quorum: 1 }, SITES);
    story.approveAll();
    story.answerAll();
    story.deliver('northern', 0);
    assert.equal(story.state.open?.results.get('northern')?.kind, 'rejected');
  });

  it('refuses an update whose steps are not counted when the strategy divides by them', () => {
    for (const [strategy, kind] of [
      ['fednova', 'rejected'],
      ['fedavg', 'update'],
    ] as const) {
      const story = new Story({ strategy, quorum: 1 }, SITES);
      story.approveAll();
      story.answerAll();
      story.deliver('northern', 4, 0);
      assert.equal(story.state.open?.results.get('northern')?.kind, kind);
    }
  });

  it('gives the control variate of scaffold to federated training from round 2 on, and to nothing else', () => {
    const story = new Story({ strategy: 'scaffold', evaluation: { everyRound: true, siteModels: true } }, SITES);
    story.approveAll();
    const given: Record<string, string[]> = {};
    while (!story.state.outcome) {
      const { stage, models } = openTasks(story.state)[0]!;
      given[`${stage.kind} ${stage.round}`] = models.map(({ name, key }) => (name === 'controls' ? key : name));
      story.answerAll();
    }
    assert.equal(outcomeOf(story), 'completed');
    assert.deepEqual(given['train 1'], ['global']);
    assert.deepEqual(given['train 2'], ['global', `runs/${RUN}/rounds/0001/controls.safetensors`]);
    assert.deepEqual(given['train-alone 2'], ['site:northern']);
    assert.deepEqual(given['evaluate 2'], ['global']);
    assert.deepEqual(
      story.state.models.map(({ controls }) => controls?.bytes),
      [undefined, 20, 20],
    );
  });

  it('makes the control variate of scaffold of the newest update of each site, of an earlier round too', () => {
    const story = new Story({ strategy: 'scaffold', rounds: 3, quorum: 2, evaluation: { everyRound: false } }, SITES);
    story.approveAll();
    story.answerAll();
    const lose = (site: string) => {
      const { stage } = openTasks(story.state)[0]!;
      story.command({ kind: 'lose-site', stage, site, reason: 'away' });
    };
    story.deliver('northern', 1);
    story.deliver('riverside', 2);
    lose('st-marys');
    story.deliver('st-marys', 5);
    story.deliver('riverside', 4);
    lose('northern');
    const before = { ...story.state, models: story.state.models.slice(0, 2), open: undefined } as RunState;
    const work = pendingModel(before);
    assert.ok(work?.kind === 'aggregate' && work.controls);
    const update = (round: number, site: string) => `runs/${RUN}/rounds/000${round}/updates/${site}.safetensors`;
    assert.deepEqual(
      work.controls.sources.map(({ key, weight }) => [key, weight]),
      [
        [update(1, 'northern'), 1],
        [update(2, 'riverside'), 4],
        [update(2, 'st-marys'), 5],
      ],
    );
    assert.equal(work.controls.sites, 3);
    assert.deepEqual(
      work.updates.map(({ site }) => site),
      ['riverside', 'st-marys'],
    );
  });

  it('lets an evaluation have gaps', () => {
    const story = new Story({ rounds: 1 }, SITES);
    story.approveAll();
    story.answerAll();
    story.answerAll();
    for (const site of SITES) {
      story.command({ kind: 'lose-site', stage: { kind: 'evaluate', round: 1 }, site, reason: 'broken' });
    }
    assert.equal(outcomeOf(story), 'completed');
  });

  it('asks each site once for statistics, ends with the digest of what they told, and makes no model', () => {
    const told = () => {
      const story = new Story({ rounds: 1, quorum: 2, statistics: {} }, SITES);
      story.approveAll();
      assert.deepEqual(
        openTasks(story.state).map(({ kind, models }) => [kind, models.length]),
        Array(3).fill(['statistics', 0]),
      );
      story.deliver('st-marys', 7);
      story.deliver('northern', 5);
      assert.equal(story.state.outcome, undefined);
      story.pass(61_000);
      assert.deepEqual(story.stages(), ['statistics 1']);
      assert.equal(outcomeOf(story), 'completed');
      assert.deepEqual(story.state.models, []);
      const { outcome } = story.state as RunState;
      return outcome?.kind === 'completed' ? outcome : assert.fail();
    };
    assert.match(told().digest, /^sha256:[0-9a-f]{64}$/);
    assert.equal(told().digest, told().digest);
  });

  it('fails when fewer sites tell statistics than the quorum', () => {
    const story = new Story({ rounds: 1, quorum: 3, statistics: {} }, SITES);
    story.approveAll();
    story.deliver('northern');
    const { stage } = openTasks(story.state)[0]!;
    story.command({ kind: 'lose-site', stage, site: 'riverside', reason: 'its trainer cannot count' });
    assert.equal(outcomeOf(story), 'failed');
    assert.match(reasonOf(story), /riverside: its trainer cannot count/);
  });

  it('stops for good when aborted', () => {
    const story = new Story({}, SITES);
    story.approveAll();
    story.command({ kind: 'abort', operator: 'ada', reason: 'wrong dataset' });
    assert.deepEqual(openTasks(story.state), []);
    assert.equal(story.command({ kind: 'approve', site: 'northern' }), false);
    assert.equal(outcomeOf(story), 'aborted');
  });
});

type Move = { readonly site: number; readonly what: 'deliver' | 'lose' | 'reject' | 'wait' | 'refuse' };

describe('any history of a run', () => {
  const move = fc.record<Move>({
    site: fc.nat(SITES.length - 1),
    what: fc.constantFrom('deliver', 'deliver', 'deliver', 'lose', 'reject', 'wait', 'refuse'),
  });
  const plan = fc.record({
    rounds: fc.integer({ min: 1, max: 3 }),
    quorum: fc.constantFrom<'all' | number>('all', 1, 2),
    evaluation: fc.record({ everyRound: fc.boolean(), siteModels: fc.boolean(), crossSite: fc.boolean() }),
  });

  const play = (story: Story, { site, what }: Move): void => {
    const id = SITES[site]!;
    const task = openTasks(story.state).find((open) => open.site === id);
    if (what === 'wait') story.pass(20_000);
    else if (what === 'refuse') story.command({ kind: 'refuse', site: id, reason: 'policy' });
    else if (!task) story.command({ kind: 'approve', site: id });
    else if (what === 'deliver') story.deliver(id);
    else
      story.command({
        kind: what === 'lose' ? 'lose-site' : 'reject-update',
        stage: task.stage,
        site: id,
        reason: 'because',
      });
  };

  it('reaches a final state by itself once time passes', () => {
    fc.assert(
      fc.property(plan, fc.array(move, { maxLength: 60 }), (settings, moves) => {
        const story = new Story(settings, SITES);
        for (const each of moves) play(story, each);
        for (let i = 0; i < 40 && !story.state.outcome; i++) story.pass(60_000);
        assert.ok(story.state.outcome);
      }),
    );
  });

  it('is replayed to the same state, and the replay goes on with the same events', () => {
    fc.assert(
      fc.property(plan, fc.array(move, { maxLength: 40 }), fc.nat(), (settings, moves, cut) => {
        const story = new Story(settings, SITES);
        for (const each of moves) play(story, each);
        const replayed = story.events.reduce<RunState | undefined>(
          (state, event) => reduce(state, RUN, event),
          undefined,
        );
        assert.deepEqual(replayed, story.state);
        const prefix = story.events.slice(0, 1 + (cut % story.events.length));
        const earlier = prefix.reduce<RunState | undefined>((state, event) => reduce(state, RUN, event), undefined)!;
        assert.equal(earlier.seq, prefix.length);
      }),
    );
  });

  it('is refused as corrupt when an event is missing, repeated or foreign', () => {
    const story = new Story({}, SITES);
    story.approveAll();
    story.answerAll();
    const replay = (events: readonly RunEvent[]) =>
      events.reduce<RunState | undefined>((state, event) => reduce(state, RUN, event), undefined);
    const isCorrupt = (error: unknown) => error instanceof ClaraError && error.code === 'corrupt';
    assert.throws(() => replay(story.events.filter((_, index) => index !== 2)), isCorrupt);
    assert.throws(() => replay([...story.events, story.events.at(-1)!]), isCorrupt);
    assert.throws(() => replay(story.events.slice(1)), isCorrupt);
  });
});
