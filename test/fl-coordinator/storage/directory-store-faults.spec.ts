import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { ClaraError, type ErrorCode } from '../../../base/errors';
import { openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { lockFile, tryLock } from '../../../fl-coordinator/storage/file-lock';
import { readAll } from '../../../fl-coordinator/storage/object-store';
import { isOwnerCard, newOwnerCard, type OwnerCard, writeOwnerCard } from '../../../fl-coordinator/storage/store-owner';
import { fault } from '../../support/faults';

const MEBIBYTE = 1 << 20;

const area = 'The store in a folder';
const needs = 'Linux and root, for a small file system';

describe('directory store on a bad disk', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'clara-store-'));
  });

  afterEach(() => rm(folder, { recursive: true }));

  fault({
    area: 'No room is left',
    fault: 'the disk is full in the middle of a write',
    where: 'a small file system that holds the store',
    ends: 'out-of-space; nothing half-written stays, and it works again when there is room',
    needs,
  }).it(
    'says out-of-space when the disk is full, leaves nothing half-written and works again when there is room',
    async function () {
      await withMount(this, folder, 'size=2m', async () => {
        const store = await openDirectoryStore(folder);
        await store.put('model', 'old');
        const size = 1.5 * MEBIBYTE;
        const upload = await store.resumeUpload('update', { size });
        await upload.append(Buffer.alloc(1000, 1));
        assert.equal(await upload.checkpoint(), 1000);
        // Somebody else takes the room that the upload was promised.
        await writeFile(path.join(folder, '.else'), Buffer.alloc(MEBIBYTE));

        await rejectsWith('out-of-space', store.put('model', Buffer.alloc(4 * MEBIBYTE)));
        await rejectsWith('out-of-space', upload.append(Buffer.alloc(size - 1000)));
        const writer = await store.create('model');
        await rejectsWith('out-of-space', writer.write(Buffer.alloc(4 * MEBIBYTE)));
        await writer.discard();
        assert.equal((await readAll(store, 'model', 10)).toString(), 'old');
        assert.deepEqual(await readdir(path.join(folder, '.store', 'partial')), []);

        await upload.suspend();
        await rm(path.join(folder, '.else'));
        const again = await store.resumeUpload('update', { size });
        assert.equal(again.durableBytes, 1000);
        await again.discard();
        await store.put('model', Buffer.alloc(MEBIBYTE));
        await store.close();
      });
    },
  );

  fault({
    area,
    fault: 'somebody removes a folder of the store while it is open',
    where: 'the folder that holds the store',
    ends: 'the write fails with not-found and leaves nothing; the next one makes the folder again',
  }).it('makes a folder again that somebody removed while the store was open', async () => {
    const store = await openDirectoryStore(folder);
    for (const key of ['a/b/one', 'a/b/two']) await store.putIfAbsent(key, Buffer.from('first'));
    await rm(path.join(folder, 'a'), { recursive: true });
    await rejectsWith('not-found', store.putIfAbsent('a/b/one', Buffer.from('lost')));
    await store.putIfAbsent('a/b/one', Buffer.from('second'));
    await rm(path.join(folder, 'a'), { recursive: true });
    await rejectsWith('not-found', store.put('a/b/one', 'lost'));
    await store.put('a/b/one', 'third');
    assert.equal((await readAll(store, 'a/b/one', 10)).toString(), 'third');
    assert.deepEqual(await readdir(path.join(folder, '.store', 'partial')), []);
    await store.close();
  });

  fault({
    area: 'No room is left',
    fault: 'uploads that do not fit beside each other',
    where: 'a small file system that holds the store',
    ends: 'refused before they begin; what is durable stays, and they are taken when there is room',
    needs,
  }).it(
    'refuses an upload that cannot fit beside the others before it begins, keeps what is durable, and takes it when there is room',
    async function () {
      await withMount(this, folder, 'size=8m', async () => {
        const store = await openDirectoryStore(folder);
        assert.ok((await store.room()) > 7 * MEBIBYTE && (await store.room()) <= 8 * MEBIBYTE);
        await rejectsWith(
          'out-of-space',
          store.resumeUpload('huge', { size: 9 * MEBIBYTE }),
          'huge needs 9437184 bytes',
        );
        const first = await store.resumeUpload('first', { size: 5 * MEBIBYTE });
        await rejectsWith('out-of-space', store.resumeUpload('second', { size: 5 * MEBIBYTE }), 'beside other uploads');
        await first.append(Buffer.alloc(2 * MEBIBYTE, 1));
        await first.suspend();
        const second = await store.resumeUpload('second', { size: 5 * MEBIBYTE });
        // Two of its five are durable; the other three are not free while the second has the room.
        await rejectsWith(
          'out-of-space',
          store.resumeUpload('first', { size: 5 * MEBIBYTE }),
          'first needs 3145728 bytes',
        );
        await second.discard();
        const again = await store.resumeUpload('first', { size: 5 * MEBIBYTE });
        assert.equal(again.durableBytes, 2 * MEBIBYTE);
        await again.append(Buffer.alloc(3 * MEBIBYTE, 2));
        await again.complete();
        await store.close();
      });
    },
  );

  fault({
    area,
    fault: 'the file system becomes read-only',
    where: 'a mount that holds the store',
    ends: 'reads go on, writes are refused with permission-denied',
    needs,
  }).it('reads a read-only folder, and says permission-denied to writes', async function () {
    await withMount(this, folder, 'size=1m', async () => {
      await writeFile(path.join(folder, 'object'), 'content');
      const { status } = spawnSync('mount', ['-o', 'remount,ro', folder]);
      assert.equal(status, 0);
      const store = await openDirectoryStore(folder);
      assert.equal((await readAll(store, 'object', 10)).toString(), 'content');
      await rejectsWith('permission-denied', store.put('object', 'new'));
      await rejectsWith('permission-denied', store.putIfAbsent('new', Buffer.from('new')));
      await rejectsWith('permission-denied', store.delete('object'));
      await rejectsWith('permission-denied', store.resumeUpload('update', { size: 1 }));
      await rejectsWith('permission-denied', store.create('model'));
      await store.delete('nothing');
      await store.close();
    });
  });

  it('says permission-denied for a folder of somebody else', async function () {
    if (process.getuid?.() === 0) {
      console.log('      skipped: the superuser may write anywhere');
      this.skip();
    }
    await chmod(folder, 0o500);
    await rejectsWith('permission-denied', openDirectoryStore(path.join(folder, 'store')));
    await chmod(folder, 0o700);
  });

  it('is no store when a file is in its place', async () => {
    const file = path.join(folder, 'file');
    await writeFile(file, '');
    await rejectsWith('invalid-input', openDirectoryStore(file), file);
    await rejectsWith('invalid-input', openDirectoryStore(path.join(file, 'below')), file);
  });

  it('refuses a key below an object and a key above one', async () => {
    const store = await openDirectoryStore(folder);
    await store.put('a/b', 'x');
    await rejectsWith('invalid-input', store.put('a/b/c', 'y'), 'a/b/c');
    await rejectsWith('invalid-input', store.put('a', 'y'), 'longer keys');
    assert.equal((await readAll(store, 'a/b', 10)).toString(), 'x');
    await store.close();
  });

  fault({
    area,
    fault: 'the record of an upload is damaged, or says more than there is',
    where: 'files of the store',
    ends: 'the upload starts afresh',
  }).it('starts an upload afresh when its record was damaged or says more than the data', async () => {
    const store = await openDirectoryStore(folder);
    const uploads = path.join(folder, '.store', 'uploads');
    for (const damage of ['record', 'data'] as const) {
      const upload = await store.resumeUpload('update', { size: 10 });
      assert.equal(upload.durableBytes, 0);
      await upload.append(Buffer.from('12345'));
      await upload.checkpoint();
      await upload.suspend();
      const name = (await readdir(uploads)).find((each) => each.endsWith(damage === 'record' ? '.json' : '.part'))!;
      await writeFile(path.join(uploads, name), '{');
    }
    const upload = await store.resumeUpload('update', { size: 10 });
    assert.equal(upload.durableBytes, 0);
    await upload.discard();
    await store.close();
  });

  it('leaves a card alone that is being written, and sweeps what a killed writer left of one', async () => {
    const owners = path.join(folder, '.store', 'owners');
    await mkdir(owners, { recursive: true });
    for (const name of ['0123456789abcdef.new', 'fedcba9876543210.new']) await writeFile(path.join(owners, name), '');
    const hourAgo = new Date(Date.now() - 3600e3);
    await utimes(path.join(owners, 'fedcba9876543210.new'), hourAgo, hourAgo);
    const store = await openDirectoryStore(folder);
    await store.put('object', 'content');
    assert.deepEqual(
      (await readdir(owners)).filter((name) => name.endsWith('.new')),
      ['0123456789abcdef.new'],
    );
    await store.close();
  });

  it('sweeps uploads that nobody has touched for more than a week', async () => {
    const first = await openDirectoryStore(folder);
    for (const key of ['old', 'young']) {
      const upload = await first.resumeUpload(key, { size: 10 });
      await upload.append(Buffer.from('12345'));
      await upload.suspend();
      const uploads = path.join(folder, '.store', 'uploads');
      const weekAgo = new Date(Date.now() - 8 * 24 * 3600e3);
      if (key === 'old')
        for (const name of await readdir(uploads)) await utimes(path.join(uploads, name), weekAgo, weekAgo);
    }
    await first.close();
    const second = await openDirectoryStore(folder);
    await second.put('any', 'write');
    assert.equal((await readdir(path.join(folder, '.store', 'uploads'))).length, 2);
    const young = await second.resumeUpload('young', { size: 10 });
    assert.equal(young.durableBytes, 5);
    await second.close();
  });
});

describe('file locks', () => {
  let folder: string;
  let owners: string;
  let file: string;
  const living = newOwnerCard();

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'clara-lock-'));
    owners = path.join(folder, 'owners');
    file = path.join(folder, 'lock');
    await mkdir(owners);
  });

  afterEach(() => rm(folder, { recursive: true }));

  const cardOf = (changes: Partial<OwnerCard>): Promise<string> =>
    writeOwnerCard(owners, { ...newOwnerCard(), ...changes });

  it('belong to one until they are released', async () => {
    const card = await cardOf({});
    const lock = await tryLock(file, card);
    assert.ok(lock);
    assert.equal(await tryLock(file, await cardOf({})), undefined);
    await rejectsWith('unavailable', lockFile(file, card, 20), `process ${process.pid}`);
    await lock.release();
    assert.ok(await tryLock(file, card));
  });

  fault({
    area,
    fault:
      'the holder of a lock has died: its process is gone, its number is used again, or the machine was started again',
    where: 'files of the store',
    ends: 'the lock is broken by one other',
  }).it(
    'are broken when the holder is dead: its process is gone, its number is used again, or the machine was started again',
    async () => {
      const gone = spawnSync('true').pid;
      for (const dead of [{ pid: gone }, { started: 'another time' }, { boot: 'another boot' }]) {
        assert.ok(await tryLock(file, await cardOf(dead)), 'the dead holder took it while it lived');
        const lock = await tryLock(file, await cardOf({}));
        assert.ok(lock, `not broken: ${JSON.stringify(dead)}`);
        await lock.release();
      }
      assert.deepEqual(await readdir(folder), ['owners']);
    },
  );

  it('have cards that are whole as soon as others can see them: a store that opens meanwhile takes them for no dead one', async () => {
    let writing = true;
    const cut = new Set<string>();
    const looking = (async () => {
      while (writing) {
        for (const name of readdirSync(owners).filter(isOwnerCard)) {
          if (readFileSync(path.join(owners, name), 'utf8').endsWith('}') === false) cut.add(name);
        }
        await setImmediate();
      }
    })();
    for (let count = 0; count < 100; count++) await cardOf({});
    writing = false;
    await looking;
    assert.deepEqual([...cut], []);
    assert.ok((await readdir(owners)).every(isOwnerCard));
  });

  fault({
    area,
    fault: 'a power cut has emptied a lock',
    where: 'files of the store',
    ends: 'the lock is broken by one other',
  }).it('are broken when a power cut has emptied them', async () => {
    await writeFile(file, '');
    assert.ok(await tryLock(file, await cardOf({})));
  });

  it('are not broken while a holder in another container may live', async () => {
    await tryLock(file, await cardOf({ namespace: 'pid:[1]', pid: spawnSync('true').pid }));
    assert.equal(await tryLock(file, await cardOf({})), undefined);
  });

  it('are broken by one, although whoever broke them before died over it', async () => {
    const dead = { boot: 'another boot' };
    const first = { ...living, ...dead, id: '0123456789abcdef' };
    assert.ok(await tryLock(file, await writeOwnerCard(owners, first)));
    // A second process died while it was breaking the lock of the first.
    assert.ok(await tryLock(`${file}.${first.id}`, await cardOf(dead)));
    const contenders = await Promise.all(Array.from({ length: 8 }, () => cardOf({})));
    const locks = await Promise.all(contenders.map((card) => tryLock(file, card)));
    assert.equal(locks.filter((lock) => lock !== undefined).length, 1);
    assert.deepEqual((await readdir(folder)).sort(), ['lock', 'owners']);
  });
});

async function withMount(
  context: Mocha.Context,
  folder: string,
  options: string,
  work: () => Promise<void>,
): Promise<void> {
  const { status, error, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], {
    encoding: 'utf8',
  });
  if (status !== 0) {
    console.log(`      skipped: no small file system can be mounted here (${(error?.message ?? stderr).trim()})`);
    context.skip();
  }
  try {
    await work();
  } finally {
    spawnSync('umount', [folder]);
  }
}

async function rejectsWith(code: ErrorCode, promise: Promise<unknown>, mentions = ''): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof ClaraError, `${error} is no ClaraError`);
    assert.equal(error.code, code, error.message);
    assert.ok(error.message.includes(mentions), `"${error.message}" does not mention "${mentions}"`);
    return true;
  });
}
