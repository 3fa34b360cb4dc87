import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { SessionStore } from '../../aiaa/sessions/session-store';
import { markWorking, Scratch } from '../../aiaa/storage/scratch';
import { Site } from './support/server';

describe('AIAA scratch folders', () => {
  let site: Site;
  beforeEach(async () => {
    site = await Site.make();
  });
  afterEach(() => site.clear());

  it('of killed servers are removed at the next start, those of live ones stay', async () => {
    const { pid: deadPid } = spawnSync(process.execPath, ['-e', '']);
    const dead = `${hostname()}~${deadPid}~aa`;
    const reused = `${hostname()}~${process.pid}~bb`;
    const alive = `${hostname()}~1~cc`;
    const silent = 'another-host~7~dd';
    const elsewhere = 'another-host~7~ee';
    for (const name of [dead, reused, alive, silent, elsewhere]) {
      await mkdir(path.join(site.workspace, name, 'request'), { recursive: true });
      await writeFile(path.join(site.workspace, name, 'request', 'volume.nii'), 'patient');
    }
    await utimes(path.join(site.workspace, silent), 1, 1);
    const mine = await Scratch.open(site.workspace);
    const second = await Scratch.open(site.workspace);
    const left = await readdir(site.workspace);
    assert.deepEqual(left.filter((name) => /~(aa|bb|cc|dd|ee)$/.test(name)).sort(), [alive, elsewhere].sort());
    assert.equal(left.length, 4, 'two servers of one process do not remove each other');
    await mine.close();
    await second.close();
    assert.equal((await readdir(site.workspace)).length, 2);
  });
});

describe('AIAA scratch folders of a server that left a process which cannot be ended', () => {
  it('stay until it is gone, and no server waits for it', async () => {
    const site = await Site.make();
    // No leader of a group, so that the signal to its group does not reach it.
    const stuck = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    try {
      const { pid: deadPid } = spawnSync(process.execPath, ['-e', '']);
      const request = path.join(site.workspace, `${hostname()}~${deadPid}~aa`, 'request');
      await mkdir(request, { recursive: true });
      markWorking(request, stuck.pid!);
      const told: number[] = [];
      const options = { endMs: 30, onStuck: ({ pid }: { pid: number }) => void told.push(pid) };
      const scratch = await Scratch.open(site.workspace, options);
      await scratch.sweep();
      assert.deepEqual(told, [stuck.pid], 'once');
      assert.ok((await readdir(site.workspace)).includes(`${hostname()}~${deadPid}~aa`));
      stuck.kill('SIGKILL');
      await once(stuck, 'exit');
      await scratch.sweep();
      assert.equal((await readdir(site.workspace)).length, 1);
      await scratch.close();
    } finally {
      stuck.kill('SIGKILL');
      await site.clear();
    }
  });
});

describe('AIAA session store', () => {
  let site: Site;
  let now = 1000;
  let store: SessionStore;
  beforeEach(async () => {
    site = await Site.make();
    now = 1000;
    store = new SessionStore(site.workspace, { maxExpirySeconds: 3600, now: () => now });
  });
  afterEach(() => site.clear());

  async function open(expiry: number) {
    const volume = path.join(site.workspace, 'volume');
    await writeFile(volume, 'voxels');
    return store.create(volume, '.nii', expiry);
  }

  it('lets a session live as long as it is used', async () => {
    const { name } = await open(100);
    for (let use = 0; use < 5; use += 1) {
      now += 99;
      assert.equal((await store.use(name)).last_access_ts, now);
    }
    now += 100;
    await assert.rejects(store.use(name), { status: 440 });
  });

  it('is not brought back by a use while another client ends it', async () => {
    const { name } = await open(100);
    let ends = false;
    const slower = new SessionStore(site.workspace, {
      maxExpirySeconds: 3600,
      now: () => {
        if (ends) rmSync(path.join(site.workspace, 'sessions', name), { recursive: true, force: true });
        ends = true;
        return now;
      },
    });
    await assert.rejects(slower.use(name), { status: 440 });
    await assert.rejects(store.find(name), { status: 440 });
    assert.deepEqual(await readdir(path.join(site.workspace, 'sessions')), []);
  });

  it('gives the maximum for 0 and for more than the maximum', async () => {
    assert.equal((await open(0)).expiry, 3600);
    assert.equal((await open(100_000)).expiry, 3600);
    assert.equal((await open(7)).expiry, 7);
  });

  it('is the same for every server on the workspace', async () => {
    const { name } = await open(0);
    const other = new SessionStore(site.workspace, { maxExpirySeconds: 3600, now: () => now });
    assert.equal((await other.find(name)).name, name);
    await other.remove(name);
    await assert.rejects(store.find(name), { status: 440 });
  });

  it('keeps so many sessions and so many bytes, of all servers together, and takes new ones when some have gone', async () => {
    const limits = { maxExpirySeconds: 3600, maxSessions: 3, maxBytes: 15, now: () => now };
    store = new SessionStore(site.workspace, limits);
    const first = await open(100);
    await open(0);
    await assert.rejects(open(0), {
      status: 503,
      retryAfterSeconds: 60,
      message: /no more sessions \(2 with 12 B\)/,
    });
    const generous = new SessionStore(site.workspace, { ...limits, maxBytes: 1000 });
    store = generous;
    await open(0);
    await assert.rejects(open(0), { status: 503, message: /3 with 18 B/ });
    await generous.remove(first.name);
    await open(10);
    now += 10;
    await open(0);
  });

  it('sweeps what has expired, is damaged or was never completed, and nothing else', async () => {
    const sessions = path.join(site.workspace, 'sessions');
    const kept = await open(0);
    await open(10);
    const damaged = await open(0);
    await writeFile(path.join(sessions, damaged.name, 'session.json'), '{');
    const unfinished = path.join(sessions, '.new-x');
    await mkdir(unfinished);
    await utimes(unfinished, 1, 1);
    now = 1011;
    assert.equal(await store.sweep(), 2, 'expired and damaged');
    assert.deepEqual((await readdir(sessions)).sort(), ['.new-x', kept.name].sort());
    now = 3602;
    assert.equal(await store.sweep(), 1, 'never completed');
    assert.deepEqual(await readdir(sessions), [kept.name]);
  });
});
