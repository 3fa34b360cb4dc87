import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { FAULT_POINT_VARIABLE, FAULT_POINTS, type FaultPoint } from '../../fl-coordinator/fault-points';
import { CuttingProxy } from '../support/cutting-proxy';
import { Federation } from '../support/federation';
import { type ShiftRun, shiftModel } from '../support/shift-model';

const SITES = ['a', 'b'];
/** Two blocks of the aggregation, two chunks of an upload. */
const ELEMENTS = 300_000;
const PLAN = {
  strategy: 'fedadam',
  rounds: 2,
  trainer: { name: 'shift', parameters: { elements: ELEMENTS } },
} as const;
const EXPECTED: ShiftRun = { strategy: 'fedadam', elements: ELEMENTS, rounds: [SITES, SITES] };

/** At which of its passages each point kills, in a run whose connections hold. Every point that exists is named here. */
const PASSAGES: Readonly<Record<FaultPoint, readonly number[]>> = {
  'journal.before-append': [1, 9],
  'journal.after-append': [1, 10],
  'upload.after-chunk': [1, 4],
  'upload.before-complete': [1, 3],
  'upload.after-complete': [1, 3],
  'store.partial-half-written': [1, 12],
  'store.partial-written': [1, 16],
  'store.locked': [1, 4],
  'store.committed': [1, 14],
  'aggregate.after-block': [2, 3],
  'aggregate.before-finish': [1, 2],
  'aggregate.after-finish': [1, 2],
  // Passed only by uploads that break off; they have a story of their own below.
  'store.upload-synced': [],
  'store.upload-recorded': [],
  'store.upload-committed': [1, 3],
};

describe('a coordinator that is killed with -9', () => {
  let federation: Federation;
  let proxy: CuttingProxy;
  const expected = shiftModel(EXPECTED);

  before(async () => {
    federation = await Federation.start(SITES);
    proxy = await CuttingProxy.start(federation.port);
    await quiet();
  });
  after(async () => {
    await proxy?.close();
    await federation?.stop();
  });

  /** Nothing runs, everything is on disk. */
  const quiet = async () => {
    await Promise.all([...SITES.map((site) => federation.stopSite(site)), federation.coordinator.stop()]);
  };
  const arm = (point: FaultPoint, passage: number) => ({ [FAULT_POINT_VARIABLE]: `${point}:${passage}` });
  /** A coordinator that may die at any moment; the promise resolves when it serves or has died. */
  const startDoomed = async (point: FaultPoint, passage: number) => {
    const coordinator = federation.launchCoordinator(arm(point, passage));
    await coordinator.record(({ event }) => event === 'ready', 'ready').catch(() => coordinator.ended);
    return coordinator;
  };
  const launchSites = () => {
    for (const site of SITES) federation.launchSite(site);
  };
  const assertSameModel = async (run: string) => {
    const { summary } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    assert.equal(summary!.modelDigest, expected.digest);
  };

  it('knows every place where it may die', () => {
    assert.deepEqual(Object.keys(PASSAGES).sort(), [...FAULT_POINTS].sort());
  });

  for (const point of FAULT_POINTS) {
    for (const passage of PASSAGES[point]) {
      it(`at ${point}, passage ${passage}, ends with the same model`, async () => {
        const token = `${point}-${passage}-token`;
        const coordinator = await startDoomed(point, passage);
        launchSites();
        await federation.submit(PLAN, token).catch(() => undefined);
        assert.equal((await coordinator.ended).signal, 'SIGKILL');

        await federation.startCoordinator();
        await assertSameModel(await federation.submit(PLAN, token));
        await quiet();
      });
    }
  }

  for (const point of ['journal.before-append', 'journal.after-append'] as const) {
    it(`after every single event (${point}) ends with the same model`, async () => {
      const token = `every-event-${point}`;
      let run: string | undefined;
      let deaths = 0;
      // A life that dies before the second event writes one, as does one that dies after the first.
      const passage = point === 'journal.before-append' ? 2 : 1;
      for (;;) {
        const coordinator = await startDoomed(point, passage);
        launchSites();
        run = (await federation.submit(PLAN, token).catch(() => undefined)) ?? run;
        const finished = run && federation.outcomeOf(run).catch(() => coordinator.ended);
        await Promise.race([coordinator.ended, finished ?? coordinator.ended]);
        if (!coordinator.isOver) break;
        assert.equal((await coordinator.ended).signal, 'SIGKILL');
        deaths++;
        await Promise.all(SITES.map((site) => federation.stopSite(site)));
      }
      await assertSameModel(run!);
      const events = await federation.journal(run!);
      assert.deepEqual(
        events.map(({ seq }) => seq),
        events.map((_, index) => index + 1),
      );
      assert.equal(deaths, point === 'journal.before-append' ? events.length - 1 : events.length);
      await quiet();
    });
  }

  describe('in the middle of an upload of some MiB that broke off', () => {
    const elements = 1_300_000;
    const plan = { strategy: 'fedavg', rounds: 1, trainer: { name: 'shift', parameters: { elements } } } as const;
    const model = shiftModel({ strategy: 'fedavg', elements, rounds: [SITES] });

    for (const point of ['store.upload-synced', 'store.upload-recorded'] as const) {
      it(`at ${point} goes on with what is durable`, async () => {
        const gate = path.join(federation.folder, `gate-${point}`);
        await mkdir(gate);
        await federation.configureSite('a', { port: proxy.port, trainer: { GATE: gate } });
        const coordinator = await startDoomed(point, 1);
        launchSites();
        const token = `upload-${point}`;
        const run = await federation.submit(plan, token);
        await federation.seen(run, ({ stage, sites }) => stage === 'train' && sites[0]!.state === 'training');
        const cut = proxy.arrange({ direction: 'up', afterBytes: 3 << 20, kind: 'cut' });
        await writeFile(path.join(gate, 'open'), '');
        await cut;
        assert.equal((await coordinator.ended).signal, 'SIGKILL');
        const durable = await durableBytes();

        await federation.startCoordinator();
        const view = await federation.outcomeOf(run);
        assert.equal(view.summary!.state, 'completed', view.summary!.reason);
        assert.equal(view.summary!.modelDigest, model.digest);
        if (point === 'store.upload-recorded') assert.ok(durable >= 2 << 20, `only ${durable} bytes are durable`);
        else assert.equal(durable, 0);
        // The new coordinator has counted from its start on: what was durable before was not sent again.
        assert.equal(Number(view.sites[0]!.bytesFromSite), model.bytes.length - durable);
        await federation.configureSite('a');
        await quiet();
      });
    }

    /** What the record of the one unfinished upload vouches for. */
    const durableBytes = async (): Promise<number> => {
      const store = path.join(federation.folder, 'coordinator', 'store');
      for (const name of await readdir(store, { recursive: true })) {
        const file = path.join(store, name);
        if (!/uploads.*\.json$/.test(name) || !existsSync(file)) continue;
        return (JSON.parse(await readFile(file, 'utf8')) as { durable: number }).durable;
      }
      return 0;
    };
  });
});
