import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { EXIT } from '../../base/exit-codes';
import { FAULT_POINT_VARIABLE } from '../../fl-coordinator/fault-points';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';
import { Program } from '../support/program';
import { shiftModel } from '../support/shift-model';

const SITES = ['a', 'b'];
/** Five chunks of an upload. */
const ELEMENTS = 1_300_000;
const PLAN = { strategy: 'fedavg', rounds: 1, trainer: { name: 'shift', parameters: { elements: ELEMENTS } } } as const;
const MODEL = shiftModel({ strategy: 'fedavg', elements: ELEMENTS, rounds: [SITES] });

describe('two coordinators on one store, with real sites', function () {
  this.timeout(180_000);
  let federation: Federation;
  let gate: string;

  afterEach(() => federation?.stop());

  /** A leader, a standby, and two sites that know both; `b` waits at a gate in its training. */
  const begin = async (faultPoint = '') => {
    federation = await Federation.start([]);
    await federation.startStandby();
    gate = path.join(federation.folder, 'gate');
    await mkdir(gate);
    await federation.addSite('a');
    await federation.addSite('b', { trainer: { GATE: gate } });
    if (faultPoint) {
      // The standby takes over while the leader is started anew with the point armed, and gives the lead back.
      await federation.coordinator.stop();
      await federation.standby!.record(({ event }) => event === 'ready', 'the standby leads');
      federation.launchCoordinator({ [FAULT_POINT_VARIABLE]: faultPoint });
      await federation.coordinator.record(({ event }) => event === 'standing-by', 'the first stands by');
      await federation.standby!.stop();
      await federation.coordinator.record(({ event }) => event === 'ready', 'the first leads again');
      await federation.startStandby();
    }
    await Promise.all(SITES.map((site) => federation.startSite(site)));
  };
  /** Site `a` has delivered round 1, and site `b` is about to. */
  const halfARound = async () => {
    const run = await federation.submit(PLAN);
    await federation.seen(run, ({ stage, sites }) => stage === 'train' && sites[0]!.state === 'done');
    return run;
  };
  const openGate = () => writeFile(path.join(gate, 'open'), '');
  const leads = (program: Program) => program.record(({ event }) => event === 'leading', 'it leads');
  const connectedTo = (site: string, port: string) =>
    federation.sites
      .get(site)!
      .record(({ event, coordinator }) => event === 'connected' && coordinator === port, `${site} has come to ${port}`);
  const own = async (run: string) => (await federation.journal(run)).filter(({ type }) => type !== 'leader-changed');

  fault({
    area: 'The coordinator is killed or paused',
    fault: 'kill -9 of the leader in the middle of an upload, with a standby',
    where: 'the process of the leader',
    ends: 'the standby leads at once; what was accepted is not sent again; the same bytes',
  }).it(
    'kill -9 in the middle of an upload: the standby leads, nothing that was accepted is sent again, the same bytes',
    async () => {
      // Five chunks of the first weights, five of a's update, two of b's.
      await begin('upload.after-chunk:12');
      const run = await halfARound();
      const watching = new Program([
        'run',
        'watch',
        run,
        '--operator',
        federation.operator,
        '--coordinator',
        federation.addresses.join(','),
        '--json',
      ]);
      await watching.record(({ event }) => event === 'run', 'the operator sees the run');
      await openGate();
      assert.equal((await federation.coordinator.ended).signal, 'SIGKILL');
      const died = performance.now();
      await leads(federation.standby!);
      const led = performance.now();
      await Promise.all(SITES.map((site) => connectedTo(site, federation.addresses[1]!)));
      console.log(`      leads after ${seconds(died, led)}, sites are back after ${seconds(died, performance.now())}`);

      const view = await federation.outcomeOf(run);
      assert.equal(view.summary!.state, 'completed', view.summary!.reason);
      assert.equal(view.summary!.modelDigest, MODEL.digest);
      // Counted by the new leader from its start on.
      assert.equal(Number(view.sites[0]!.bytesFromSite), 0);
      assert.equal(Number(view.sites[1]!.bytesFromSite), MODEL.bytes.length);
      assert.equal((await watching.ended).code, EXIT.ok);
      const accepted = (await own(run)).filter(({ type }) => type === 'update-accepted');
      assert.equal(accepted.length, 3, 'first weights, and one update of each site');
    },
  );

  fault({
    area: 'The coordinator is killed or paused',
    fault: 'the leader is paused past its lease, and wakes up',
    where: 'SIGSTOP and SIGCONT of the leader',
    reads: 'this coordinator has lost the lead of epoch {epoch}: {why}',
    ends: 'the standby leads; the former leader writes nothing and stands by; the same bytes',
  }).it(
    'a leader that is paused past its lease: the standby leads, and it writes nothing when it wakes up',
    async (told) => {
      await begin();
      const run = await halfARound();
      const { coordinator, standby } = federation;
      coordinator.kill('SIGSTOP');
      const paused = performance.now();
      await leads(standby!);
      const led = performance.now();
      await Promise.all(SITES.map((site) => connectedTo(site, federation.addresses[1]!)));
      console.log(
        `      leads after ${seconds(paused, led)}, sites are back after ${seconds(paused, performance.now())}`,
      );
      await openGate();
      const view = await federation.outcomeOf(run);
      assert.equal(view.summary!.modelDigest, MODEL.digest);
      assert.equal(Number(view.sites[0]!.bytesFromSite), 0);
      const journal = await federation.journal(run);

      coordinator.kill('SIGCONT');
      const lost = await coordinator.record(
        ({ event }) => event === 'lead-lost',
        'the first knows that it leads no more',
      );
      assert.match(String(lost.reason), /lost the lead/);
      told(String(lost.reason));
      const standing = await coordinator.record(({ event }) => event === 'standing-by', 'the first stands by');
      assert.equal(standing.leader, federation.addresses[1]);
      assert.deepEqual(await federation.journal(run), journal);
      assert.ok(journal.some(({ type }) => type === 'leader-changed'));

      // Whoever asks the one that stands by is told where to go.
      const refused = await federation.verb('run', 'list', '--coordinator', federation.addresses[0]!);
      assert.equal(refused.code, EXIT.unavailable);
      assert.match(refused.stderr, new RegExp(`stands by; the leader is ${federation.addresses[1]}`));
    },
  );

  fault({
    area: 'The coordinator is killed or paused',
    fault: 'the leader is stopped in a round, with a standby, back and forth',
    where: 'SIGTERM of the leader',
    ends: 'the other leads at once; no journal grows by it; the same bytes',
  }).it(
    'a leader that is stopped in order hands over at once, back and forth, and no journal grows by it',
    async () => {
      await begin();
      const run = await halfARound();
      const before = await federation.journal(run);
      assert.equal((await federation.coordinator.stop()).code, EXIT.ok);
      await leads(federation.standby!);
      await connectedTo('b', federation.addresses[1]!);
      federation.launchCoordinator();
      await federation.coordinator.record(({ event }) => event === 'standing-by', 'the first stands by');
      await federation.standby!.stop();
      await leads(federation.coordinator);
      assert.deepEqual(await federation.journal(run), before);
      await openGate();
      const { summary } = await federation.outcomeOf(run);
      assert.equal(summary!.modelDigest, MODEL.digest);
    },
  );
});

const seconds = (from: number, to: number): string => `${((to - from) / 1000).toFixed(1)} s`;
