import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CHUNK_BYTES } from '../../federation/chunk-codec';
import { FAULT_POINT_VARIABLE, FAULT_POINTS, type FaultPoint } from '../../fl-coordinator/fault-points';
import { CuttingProxy } from '../support/cutting-proxy';
import { type Faults, fault } from '../support/faults';
import { Federation } from '../support/federation';
import { shiftModel } from '../support/shift-model';
import { until } from '../support/until';

const SITES = ['a', 'b'];
/** Two blocks of the aggregation, two chunks of an upload. */
const ELEMENTS = 270_000;
const ROUNDS = 14;
const PLAN = {
  strategy: 'fedadam',
  rounds: ROUNDS,
  trainer: { name: 'shift', parameters: { elements: ELEMENTS } },
} as const;

/** At which of its passages in one life each point kills. Every point that exists is named here. */
const PASSAGES: Readonly<Record<FaultPoint, readonly number[]>> = {
  'journal.before-append': [1, 7],
  'journal.after-append': [1, 4],
  'upload.after-chunk': [1, 3],
  'upload.before-complete': [1, 2],
  'upload.after-complete': [1, 2],
  'store.partial-half-written': [1, 5],
  'store.partial-written': [1, 6],
  'store.before-link': [1, 3],
  'store.locked': [1, 3],
  'store.committed': [1, 8],
  'store.upload-committed': [1, 2],
  'aggregate.after-scan': [1],
  'aggregate.after-block': [1, 2],
  'aggregate.before-finish': [1],
  'aggregate.after-finish': [1],
  // Passed only by uploads that break off; they have a story of their own below.
  'store.upload-synced': [],
  'store.upload-recorded': [],
  // Passed by enrolments only: enrolment-interrupted.spec.ts.
  'enrol.token-spent': [],
  // Passed by the first start only: coordinator-secrets.spec.ts.
  'authority.made': [],
  'authority.kept': [],
  'operator.added': [],
  // A plan that brings a model: initial-model-file.spec.ts.
  'model-upload.half-written': [],
  // Passed by encoded updates only: encoded-wire.spec.ts.
  'upload.after-decode': [],
};

describe('a coordinator that is killed with -9', function () {
  // Sites wait up to 20 s before they dial again.
  this.timeout(120_000);

  let federation: Federation;
  let proxy: CuttingProxy;

  before(async () => {
    federation = await Federation.start(SITES);
    proxy = await CuttingProxy.start(federation.port);
    await quiet();
  });
  after(async () => {
    await proxy?.close();
    await federation?.stop();
  });

  const stopSites = () => Promise.all(SITES.map((site) => federation.stopSite(site)));
  const launchSites = () => {
    for (const site of SITES) federation.launchSite(site);
  };
  /** Nothing runs, everything is on disk. */
  const quiet = () => Promise.all([stopSites(), federation.coordinator.stop()]);
  /** A coordinator that may die at any moment; the promise resolves when it serves or has died. */
  const startDoomed = async (point: FaultPoint, passage: number) => {
    const coordinator = federation.launchCoordinator({ [FAULT_POINT_VARIABLE]: `${point}:${passage}` });
    await coordinator.record(({ event }) => event === 'ready', 'it is ready').catch(() => coordinator.ended);
    return coordinator;
  };

  it('has every place where it may die in this test', () => {
    assert.deepEqual(Object.keys(PASSAGES).sort(), [...FAULT_POINTS].sort());
  });

  describe('again and again in one run', () => {
    let run: string;
    const rows: Faults[] = [];

    before(async () => {
      await federation.startCoordinator();
      launchSites();
      run = await federation.submit(PLAN);
      await quiet();
    });

    for (const point of FAULT_POINTS) {
      if (PASSAGES[point].length === 0) continue;
      const row = fault({
        area: 'The coordinator is killed or paused',
        fault: `kill -9 at \`${point}\` in a run`,
        where: 'the process of the coordinator, at the point and once more later',
        ends: 'the next start goes on; the run ends with the bytes of its definition',
      });
      rows.push(row);
      for (const passage of PASSAGES[point]) {
        row.it(`dies at ${point}, passage ${passage}`, async () => {
          const coordinator = await startDoomed(point, passage);
          launchSites();
          const survived = coordinator.record(({ state }) => state === 'completed', 'the end of the run');
          survived.catch(() => undefined);
          await Promise.race([coordinator.ended, survived]);
          assert.ok(coordinator.isOver, 'the run is over and the point was not passed: give the run more rounds');
          assert.equal((await coordinator.ended).signal, 'SIGKILL');
          await stopSites();
        });
      }
    }

    rows[0]!.and(...rows.slice(1)).it('and the run ends with the model of an undisturbed one', async () => {
      await federation.startCoordinator();
      launchSites();
      const { summary } = await federation.outcomeOf(run);
      assert.equal(summary!.state, 'completed', summary!.reason);
      const rounds = Array.from({ length: ROUNDS }, () => SITES);
      assert.equal(summary!.modelDigest, shiftModel({ strategy: 'fedadam', elements: ELEMENTS, rounds }).digest);
      await quiet();
    });
  });

  fault({
    area: 'The coordinator is killed or paused',
    fault: 'kill -9 between any two events of a run, one after the other',
    where: 'the process of the coordinator, before each write of its journal',
    ends: 'each life goes on where the journal ends; the same bytes',
  }).it('between any two events of a run ends with the same model', async () => {
    const token = 'between-any-two-events';
    const plan = { strategy: 'fedavgm', rounds: 1, evaluation: { everyRound: true } } as const;
    let run: string | undefined;
    let deaths = 0;
    for (;;) {
      const coordinator = await startDoomed('journal.before-append', 3);
      launchSites();
      run = (await federation.submit(plan, token).catch(() => undefined)) ?? run;
      const finished = run && federation.outcomeOf(run).catch(() => coordinator.ended);
      await Promise.race([coordinator.ended, finished ?? coordinator.ended]);
      await stopSites();
      if (!coordinator.isOver) break;
      assert.equal((await coordinator.ended).signal, 'SIGKILL');
      deaths++;
    }
    const { summary } = await federation.outcomeOf(run!);
    assert.equal(summary!.modelDigest, shiftModel({ strategy: 'fedavgm', elements: 1000, rounds: [SITES] }).digest);
    const events = await federation.journal(run!);
    assert.equal(events.at(-1)!.type, 'run-completed');
    // Each life but the first began with the event that closes the journal to the one before it.
    assert.equal(events.filter(({ type }) => type === 'leader-changed').length, deaths);
    // Beside it each life wrote one event and died before the next, the first wrote two; the last had none to write after its own.
    assert.equal(deaths, events.length - deaths - 2);
    await quiet();
  });

  describe('in the middle of an upload of some MiB that broke off', () => {
    const elements = 1_300_000;
    const plan = { strategy: 'fedavg', rounds: 1, trainer: { name: 'shift', parameters: { elements } } } as const;
    const model = shiftModel({ strategy: 'fedavg', elements, rounds: [SITES] });

    for (const point of ['store.upload-synced', 'store.upload-recorded'] as const) {
      fault({
        area: 'The coordinator is killed or paused',
        fault: `kill -9 at \`${point}\`, in an upload that broke off`,
        where: 'the process of the coordinator',
        ends: 'what was durable is not sent again; the same bytes',
      }).it(`at ${point} goes on with what is durable`, async () => {
        const gate = path.join(federation.folder, `gate-${point}`);
        await mkdir(gate);
        await federation.configureSite('a', { port: proxy.port, trainer: { GATE: gate } });
        const coordinator = await startDoomed(point, 1);
        launchSites();
        const token = `upload-${point}`;
        const run = await federation.submit(plan, token);
        await federation.seen(
          run,
          ({ stage, sites }) => stage === 'train' && sites[0]!.state === 'training' && sites[1]!.state === 'done',
        );
        // Behind the third chunk and whatever the site says beside it, heartbeats for example.
        const stalled = proxy.arrange({ direction: 'up', afterBytes: 7 << 19, kind: 'stall' });
        await writeFile(path.join(gate, 'open'), '');
        await stalled;
        // A connection that breaks off may lose what lies in its buffers, so the coordinator must have taken the chunks before.
        await until(async () => (await writtenBytes()) === 3 * CHUNK_BYTES, 'three chunks are written');
        proxy.cut();
        assert.equal((await coordinator.ended).signal, 'SIGKILL');
        const durable = await durableBytes();

        await federation.startCoordinator();
        const view = await federation.outcomeOf(run);
        assert.equal(view.summary!.state, 'completed', view.summary!.reason);
        assert.equal(view.summary!.modelDigest, model.digest);
        assert.equal(durable, point === 'store.upload-recorded' ? 3 * CHUNK_BYTES : 0);
        // The new coordinator has counted from its start on: what was durable before was not sent again.
        assert.equal(Number(view.sites[0]!.bytesFromSite), model.bytes.length - durable);
        await federation.configureSite('a');
        await quiet();
      });
    }

    /** Of the one unfinished upload. */
    const uploadFile = async (suffix: '.json' | '.part'): Promise<string | undefined> => {
      const store = path.join(federation.folder, 'coordinator', 'store');
      const names = await readdir(store, { recursive: true });
      return names
        .filter((name) => name.includes('uploads') && name.endsWith(suffix))
        .map((name) => path.join(store, name))[0];
    };
    const writtenBytes = async (): Promise<number> => {
      const file = await uploadFile('.part');
      return file === undefined ? 0 : (await stat(file)).size;
    };
    /** What the record of the upload vouches for. */
    const durableBytes = async (): Promise<number> => {
      const file = await uploadFile('.json');
      return file === undefined ? 0 : (JSON.parse(await readFile(file, 'utf8')) as { durable: number }).durable;
    };
  });
});
