import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { openSharedAuthority } from '../../../fl-coordinator/trust/shared-authority';
import { SiteRegister } from '../../../fl-coordinator/trust/site-register';
import { MemoryStore } from './support/memory-store';

describe('the authority of a store', () => {
  let folder: string;
  let store: MemoryStore;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-authority-'));
    store = new MemoryStore();
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const open = (name: string) => openSharedAuthority(path.join(folder, name), store.port, { federation: 'fed' });

  it('is made by the first coordinator, and is the same for one with a copy without the root key', async () => {
    const first = await open('a');
    await cp(path.join(folder, 'a/authority'), path.join(folder, 'b/authority'), { recursive: true });
    await rm(path.join(folder, 'b/authority/root.key.pem'));
    assert.equal((await open('b')).rootFingerprint, first.rootFingerprint);
    assert.doesNotMatch(store.dump(), /PRIVATE/);
  });

  it('is one, also when two start at once with one folder', async () => {
    const opened = await Promise.all([open('a'), open('a'), open('a')]);
    assert.equal(new Set(opened.map(({ rootFingerprint }) => rootFingerprint)).size, 1);
  });

  it('is not made a second time: another, or none, is refused with the way out', async () => {
    await open('a');
    await assert.rejects(open('b'), /does not hold its certificate authority; give every coordinator .*--trust DIR/);
    const other = new MemoryStore();
    await openSharedAuthority(path.join(folder, 'c'), other.port, { federation: 'fed' });
    await assert.rejects(open('c'), /the store belongs to the one with root [0-9a-f]{16}/);
  });

  it('is not made for a store of an earlier release, which has a register and no record of the root', async () => {
    const register = await SiteRegister.open(store.port);
    await register.invited('a', '0123456789abcdef', new Date());
    await assert.rejects(open('new'), /does not hold its certificate authority/);
  });
});
