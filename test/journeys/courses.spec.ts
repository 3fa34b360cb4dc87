import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { FAULT_POINT_VARIABLE } from '../../fl-coordinator/fault-points';
import { Federation } from '../support/federation';
import {
  initialShiftModel,
  type ShiftWire,
  shiftDigest,
  shiftModel,
  shiftSamples,
  shiftUpdate,
  weightedMean,
} from '../support/shift-model';
import { until } from '../support/until';
import { HALF_CHANGES } from '../support/wire-by-hand';

const SITES = ['a', 'b', 'c'];
const ELEMENTS = 1000;
const AS_IT_IS: ShiftWire = { down: (model) => [...model], up: (update) => [...update] };
/** Beside each way of a plan's rounds: nothing encoded, and both directions; with what that makes of models and updates. */
const WIRES = [
  { how: 'as it is', wire: {}, made: AS_IT_IS },
  {
    how: 'encoded',
    wire: { wire: { up: { encoding: 'float16', delta: true }, down: 'bfloat16' } },
    made: HALF_CHANGES,
  },
] as const;

interface StageOfEvent {
  readonly kind: string;
  readonly round: number;
  readonly turn?: number;
}

interface JournalEvent {
  readonly type: string;
  readonly seq: number;
  readonly stage?: StageOfEvent;
  readonly site?: string;
  readonly deadline?: string;
  readonly digest?: string;
  readonly round?: number;
  readonly cohort?: readonly string[];
  readonly buffered?: readonly { readonly stage: StageOfEvent; readonly site: string }[];
}

describe('how rounds follow each other, with real processes', function () {
  // A site waits up to 20 s before it dials a restarted coordinator again.
  this.timeout(120_000);

  let federation: Federation;
  let gates: ReadonlyMap<string, string>;

  beforeEach(async () => {
    federation = await Federation.start([]);
    gates = new Map(SITES.map((site) => [site, path.join(federation.folder, `gate-${site}`)]));
    for (const site of SITES) {
      await mkdir(gates.get(site)!);
      await openGate(site);
      await federation.addSite(site, { trainer: { GATE: gates.get(site)! } });
      await federation.startSite(site);
    }
  });
  afterEach(() => federation?.stop());

  const openGate = (site: string) => writeFile(path.join(gates.get(site)!, 'open'), '');
  const closeGate = (site: string) => rm(path.join(gates.get(site)!, 'open'), { force: true });
  const isAtGate = (site: string) => existsSync(path.join(gates.get(site)!, 'reached'));
  const journalOf = async (run: string) => (await federation.journal(run)) as readonly JournalEvent[];
  const happened = (run: string, what: string, is: (event: JournalEvent) => boolean) =>
    until(async () => (await journalOf(run)).some(is), what);
  const accepted = (site: string, round: number) => (event: JournalEvent) =>
    event.type === 'update-accepted' &&
    event.site === site &&
    event.stage?.kind === 'train' &&
    event.stage.round === round;

  const killed = async () => {
    const { coordinator } = federation;
    coordinator.kill('SIGKILL');
    assert.equal((await coordinator.ended).signal, 'SIGKILL');
  };
  /** The coordinator, to die by kill -9 at the given point; call it while nothing runs. */
  const doomedAt = async (point: string) => {
    await federation.coordinator.stop();
    await federation.startCoordinator({ [FAULT_POINT_VARIABLE]: point });
  };
  const afterDeath = async () => {
    assert.equal((await federation.coordinator.ended).signal, 'SIGKILL');
    await federation.startCoordinator();
  };
  const completed = async (run: string) => {
    const view = await federation.outcomeOf(run);
    assert.equal(view.summary!.state, 'completed', view.summary!.reason);
    return view;
  };

  it('a paused run keeps its sites past their deadline, outlives a kill, opens nothing, and goes on when resumed', async () => {
    await closeGate('c');
    const run = await federation.submit({ rounds: 2, deadline: '15s' });
    await until(() => isAtGate('c'), 'the trainer of c is at its gate');
    const paused = await federation.verb('run', 'pause', run, '--reason', 'new scanner', '--for', '1h');
    assert.equal(paused.code, 0, paused.stderr);
    assert.match(paused.stdout, new RegExp(`^run ${run} is paused; it fails at .* unless it is resumed\n$`));
    const again = await federation.verb('run', 'pause', run);
    assert.equal(again.code, 64);
    assert.match(again.stderr, /is paused already, by admin; it cannot be paused/);

    await killed();
    await federation.startCoordinator();
    const { deadline } = (await journalOf(run)).findLast(({ type }) => type === 'stage-opened')!;
    await until(() => Date.now() > Date.parse(deadline!) + 1000, 'the deadline of the round lies behind');
    await openGate('c');
    await happened(
      run,
      'the model of round 1 is there',
      ({ type, round }) => type === 'model-published' && round === 1,
    );
    const shown = await federation.verb('run', 'show', run);
    assert.match(shown.stdout, /^journey {2}paused {2}round 1\/2/);
    assert.match(shown.stdout, /^paused by admin since .*; fails at .* unless it is resumed$/m);
    assert.ok(!(await journalOf(run)).some(({ type, stage }) => type === 'stage-opened' && stage?.round === 2));

    const resumed = await federation.verb('run', 'resume', run);
    assert.equal(resumed.code, 0, resumed.stderr);
    const { summary } = await completed(run);
    const expected = shiftModel({ strategy: 'fedavg', elements: ELEMENTS, rounds: [SITES, SITES] });
    assert.equal(summary!.modelDigest, expected.digest);
  });

  for (const { how, wire, made } of WIRES) {
    it(`a late update (${how}) counts in the next round, discounted; the same bytes when the coordinator dies over the model`, async () => {
      await doomedAt('aggregate.before-finish:2');
      await closeGate('c');
      const run = await federation.submit({
        rounds: 2,
        quorum: 2,
        deadline: '12s',
        lateUpdates: 'next-round',
        ...wire,
      });
      await happened(run, 'a has delivered round 1', accepted('a', 1));
      await closeGate('a');
      await happened(run, 'round 2 is open', ({ type, stage }) => type === 'stage-opened' && stage?.round === 2);
      const show = await federation.verb('run', 'show', run);
      assert.match(show.stdout, /^c +\S+, 1 model behind/m);
      await openGate('c');
      await happened(run, 'c has delivered round 1', accepted('c', 1));
      await openGate('a');
      await afterDeath();
      const view = await completed(run);

      const start = made.down(initialShiftModel(ELEMENTS));
      const sent = (base: readonly number[], site: string, round: number) =>
        made.up(shiftUpdate(base, site, round), base, site);
      const mean = (updates: readonly (readonly number[])[], sites: readonly string[]) =>
        updates[0]!.map((_, i) =>
          Math.fround(
            weightedMean(
              updates.map((update) => update[i]!),
              sites.map(shiftSamples),
            ),
          ),
        );
      const first = made.down(mean([sent(start, 'a', 1), sent(start, 'b', 1)], ['a', 'b']));
      const late = sent(start, 'c', 1).map((u, i) => Math.fround(first[i]! + Math.SQRT1_2 * (u - start[i]!)));
      const second = mean([sent(first, 'a', 2), sent(first, 'b', 2), late], SITES);
      assert.equal(view.summary!.modelDigest, shiftDigest(second, ELEMENTS));
      assert.deepEqual(
        view.rounds[1]!.buffered.map(({ site, staleness }) => [site, staleness]),
        [['c', 1]],
      );
    });
  }

  for (const [point, { how, wire, made }] of [
    ['journal.after-append:23', WIRES[0]],
    ['aggregate.after-finish:3', WIRES[0]],
    ['upload.after-decode:6', WIRES[1]],
  ] as const) {
    it(`an asynchronous run (${how}) is what its order of acceptance says, through a kill -9 at ${point}`, async () => {
      await doomedAt(point);
      await closeGate('c');
      const run = await federation.submit({ rounds: 5, mode: 'asynchronous', buffer: { size: 2, step: 0.5 }, ...wire });
      await happened(run, 'round 3 is open', ({ type, stage }) => type === 'stage-opened' && stage?.round === 3);
      await openGate('c');
      await afterDeath();
      const view = await completed(run);
      const { digests, stale } = fedBuffByHand(await journalOf(run), 0.5, made);
      assert.deepEqual(
        view.rounds.map(({ modelDigest }) => modelDigest),
        digests,
      );
      assert.ok(stale > 0, 'some update was stale');
    });
  }

  for (const [point, { how, wire, made }] of [
    ['journal.before-append:14', WIRES[0]],
    ['upload.before-complete:3', WIRES[0]],
    ['upload.after-decode:4', WIRES[1]],
  ] as const) {
    it(`a cyclic run (${how}) hands the weights from site to site, through a kill -9 at ${point}`, async () => {
      await doomedAt(point);
      const run = await federation.submit({ rounds: 2, mode: 'cyclic', ...wire });
      await afterDeath();
      const { summary, rounds } = await completed(run);
      let model = initialShiftModel(ELEMENTS);
      for (const round of [1, 2]) {
        model = made.down(model);
        for (const site of SITES) model = made.up(shiftUpdate(model, site, round), model, site);
      }
      assert.equal(summary!.modelDigest, shiftDigest(model, ELEMENTS));
      assert.deepEqual(
        rounds.map(({ contributors }) => contributors),
        [SITES, SITES],
      );
    });
  }

  it('a sampled cohort is in the journal, an early stop names the best model, and runs are compared', async () => {
    const plan = { rounds: 9, cohort: { sample: 2 }, evaluation: { everyRound: true } } as const;
    const run = await federation.submit({ ...plan, earlyStop: { metric: 'dice', patience: 2 } });
    const view = await completed(run);
    assert.match(
      view.summary!.reason,
      /^stopped early: dice has not been better than 0\.6[0-9]+ of round 1 for 2 rounds$/,
    );
    const cohorts = (await journalOf(run))
      .filter(({ type, stage }) => type === 'stage-opened' && stage?.kind === 'train')
      .map(({ cohort }) => cohort!);
    assert.deepEqual(
      view.rounds.map(({ contributors }) => contributors),
      cohorts,
    );
    const expected = shiftModel({ strategy: 'fedavg', elements: ELEMENTS, rounds: cohorts });
    assert.equal(view.summary!.modelDigest, expected.digest);

    const file = path.join(federation.folder, 'best');
    const fetched = await federation.verb('model', 'fetch', run, '--best', '-o', file);
    assert.equal(fetched.code, 0, fetched.stderr);
    const best = shiftModel({ strategy: 'fedavg', elements: ELEMENTS, rounds: cohorts.slice(0, 1) });
    assert.deepEqual(await readFile(file), best.bytes);

    const other = await federation.submit({ rounds: 1, evaluation: { everyRound: true } });
    await completed(other);
    const none = await federation.verb('model', 'fetch', other, '--best', '-o', file);
    assert.equal(none.code, 66);
    assert.match(none.stderr, /its plan names no metric \(earlyStop\.metric\)/);
    const compared = await federation.verb('run', 'compare', run, other, '--target', 'dice=0.6', '--json');
    assert.equal(compared.code, 0, compared.stderr);
    const rows = compared.program.records as unknown as { run: string; reachedRound: number; rounds: number }[];
    assert.deepEqual(
      rows.map(({ run, rounds, reachedRound }) => [run, rounds, reachedRound]),
      [
        [run, 3, 1],
        [other, 1, 1],
      ],
    );
  });
});

/** FedBuff in plain float64, from what the journal says was combined when. Each kept value is a float32. */
function fedBuffByHand(
  events: readonly JournalEvent[],
  step: number,
  wire: ShiftWire,
): { readonly digests: string[]; readonly stale: number } {
  const models = [initialShiftModel(ELEMENTS)];
  let stale = 0;
  for (const { type, stage, buffered } of events) {
    if (type !== 'stage-closed' || stage?.kind !== 'train') continue;
    const model = wire.down(models[stage.round - 1]!);
    const updates = buffered!.map(({ site, stage: { round } }) => {
      const tau = stage.round - round;
      if (tau > 0) stale++;
      const base = wire.down(models[round - 1]!);
      const factor = step / Math.sqrt(1 + tau);
      return wire
        .up(shiftUpdate(base, site, round), base, site)
        .map((u, i) => Math.fround(model[i]! + factor * (u - base[i]!)));
    });
    const samples = buffered!.map(({ site }) => shiftSamples(site));
    models.push(
      model.map((_, i) =>
        Math.fround(
          weightedMean(
            updates.map((update) => update[i]!),
            samples,
          ),
        ),
      ),
    );
  }
  return { digests: models.slice(1).map((values) => shiftDigest(values, ELEMENTS)), stale };
}
