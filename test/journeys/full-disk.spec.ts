import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
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
    const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', store], { encoding: 'utf8' });
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

  it('says at the first model that the run does not fit, and goes on by itself when there is room', async () => {
    await writeFile(filler, Buffer.alloc(17 * MEBIBYTE));
    const run = await federation!.submit(PLAN);
    const delayed = await federation!.coordinator.record(({ event }) => event === 'model-delayed', 'the disk is full');
    assert.equal(delayed.run, run);
    assert.match(String(delayed.reason), /make room/);
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

  it('lets a site wait with its update until there is room', async () => {
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
    await writeFile(filler, Buffer.alloc(24 * MEBIBYTE)).catch(() => undefined);
    await writeFile(path.join(federation!.folder, 'open'), '');
    assert.equal((await refused).code, 'out-of-space');
    await rm(filler);
    const { summary } = await federation!.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
  });
});
