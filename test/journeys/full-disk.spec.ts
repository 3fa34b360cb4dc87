import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, rm, statfs, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';
import { shiftModel } from '../support/shift-model';

const SITES = ['a', 'b'];
/** Of a model: 2 MB. */
const ELEMENTS = 500_000;
const MEBIBYTE = 1 << 20;
const PLAN = { strategy: 'fedavg', rounds: 2, trainer: { name: 'shift', parameters: { elements: ELEMENTS } } } as const;

describe('a coordinator whose disk is full', function () {
  this.timeout(120_000);
  let federation: Federation | undefined;
  let store: string;
  let filler: string;

  before(async function () {
    federation = await Federation.start(SITES);
    await Promise.all([...SITES.map((site) => federation!.stopSite(site)), federation.coordinator.stop()]);
    store = path.join(federation.folder, 'coordinator', 'store');
    filler = path.join(store, '.filler');
    const aside = path.join(federation.folder, 'aside');
    await cp(store, aside, { recursive: true });
    const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=34m', 'tmpfs', store], { encoding: 'utf8' });
    if (mount.status !== 0) {
      console.log(
        `      skipped: no small file system can be mounted here (${(mount.error?.message ?? mount.stderr).trim()})`,
      );
      await federation.stop();
      this.skip();
    }
    await cp(aside, store, { recursive: true });
    await federation.startCoordinator();
    for (const site of SITES) await federation.startSite(site);
  });
  after(async () => {
    await Promise.all([...SITES.map((site) => federation!.stopSite(site)), federation!.coordinator.stop()]);
    spawnSync('umount', [store]);
    await federation!.stop();
  });

  afterEach(() => rm(filler, { force: true }));

  fault({
    area: 'No room is left',
    fault: 'a run does not fit, which its first model shows',
    where: 'a small file system that holds the store',
    reads:
      'a model of {bytes} bytes takes up to {needed} bytes in 2 rounds with 2 sites, and the store has {free} left; make room, or ask for fewer rounds',
    ends: 'the run waits, until its deadline at most, and goes on by itself when there is room',
    needs: 'Linux and root, for a small file system',
  }).it('says at the first model that the run does not fit, and goes on by itself when there is room', async (told) => {
    await writeFile(filler, Buffer.alloc(27 * MEBIBYTE));
    const run = await federation!.submit(PLAN);
    const delayed = await federation!.coordinator.record(({ event }) => event === 'model-delayed', 'the disk is full');
    assert.equal(delayed.run, run);
    assert.match(String(delayed.reason), /make room/);
    told(String(delayed.reason));
    await rm(filler);
    const { summary } = await federation!.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    const model = shiftModel({ strategy: 'fedavg', elements: ELEMENTS, rounds: [SITES, SITES] });
    assert.equal(summary!.modelDigest, model.digest);
  });

  it('refuses a plan at once whose model is known and does not fit', async () => {
    const run = await federation!.submit(PLAN, 'the-first-run');
    await federation!.outcomeOf(run);
    const plan = await federation!.planFile({ ...PLAN, rounds: 100, initialModel: { from: 'run', run } });
    const { code, stderr } = await federation!.verb('run', 'submit', plan);
    assert.equal(code, 73, stderr);
    assert.match(stderr, /100 rounds with 2 sites/);
  });

  fault({
    area: 'No room is left',
    fault: "2 % of the coordinator's disk are left",
    where: 'a small file system that holds the store',
    reads:
      'clara-fed: a model of {bytes} bytes takes up to {needed} bytes in 2 rounds with 2 sites, and the store has {free} left; make room, or ask for fewer rounds',
    needs: 'Linux and root, for a small file system',
    ends: 'the coordinator starts; a run that does not fit is refused before it begins, and taken when there is room',
  }).it(
    'with 2 % left starts, refuses what does not fit before it begins, and takes it when there is room',
    async (told) => {
      const run = await federation!.submit(PLAN, 'the-first-run');
      await federation!.outcomeOf(run);
      const { bavail, bsize, blocks } = await statfs(store);
      await writeFile(filler, Buffer.alloc((bavail - Math.floor(blocks * 0.02)) * bsize));
      await federation!.coordinator.stop();
      await federation!.startCoordinator();
      const plan = await federation!.planFile({ ...PLAN, initialModel: { from: 'run', run } });
      const refused = await federation!.verb('run', 'submit', plan, '--token', 'a-later-run');
      assert.equal(refused.code, 73, refused.stderr);
      told(refused.stderr.trimEnd());
      assert.equal(
        (await federation!.operate((client) => client.listRuns({}))).runs.filter(({ state }) => state !== 'completed')
          .length,
        0,
      );
      await rm(filler);
      const taken = await federation!.verb('run', 'submit', plan, '--token', 'a-later-run', '--wait');
      assert.equal(taken.code, 0, taken.stderr);
    },
  );

  fault({
    area: 'No room is left',
    fault: 'the disk is full when a site sends its update',
    where: 'a small file system that holds the store',
    reads: '{object} needs {n} bytes and {n} are free beside other uploads; make room, and the upload goes on',
    ends: 'the site tries again, and the run ends when there is room',
    needs: 'Linux and root, for a small file system',
  }).it('lets a site wait with its update until there is room', async (told) => {
    await federation!.configureSite('a', { trainer: { GATE: federation!.folder } });
    await federation!.stopSite('a');
    await federation!.startSite('a');
    const run = await federation!.submit({ ...PLAN, rounds: 1 });
    await federation!.seen(
      run,
      ({ stage, sites }) =>
        stage === 'train' && sites.every(({ state }) => state !== 'waiting') && sites[1]!.state === 'done',
    );
    const refused = federation!.coordinator.record(
      ({ event, message }) => event === 'call-refused' && /and the upload goes on/.test(String(message)),
      'the update is refused',
    );
    await writeFile(filler, Buffer.alloc(34 * MEBIBYTE)).catch(() => undefined);
    await writeFile(path.join(federation!.folder, 'open'), '');
    assert.equal((await refused).code, 'out-of-space');
    told(String((await refused).message));
    await rm(filler);
    const { summary } = await federation!.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
  });
});
