import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { hasCode } from '../../../base/errors';
import { FAULT_POINTS, type FaultPoint } from '../../../fl-coordinator/fault-points';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { readAll } from '../../../fl-coordinator/storage/object-store';
import type { StoreDescription } from '../../contract/described-store';
import type { StoreAction } from '../../contract/store-client';
import { StoreProcess } from '../../contract/store-process';
import { fault } from '../../support/faults';

const KEY = 'runs/a/object';
const OLD = 'the old content';
const NEW = ['the new ', 'and longer ', 'content'];

/** Each kind of write: what may be under the key after the writer was killed, and where it passes. */
const WRITES: Record<
  string,
  {
    readonly action: (etag: string) => StoreAction;
    readonly old: string | undefined;
    readonly new: string | undefined;
    readonly points: readonly FaultPoint[];
  }
> = {
  put: {
    action: () => ({ kind: 'put', key: KEY, pieces: NEW }),
    old: OLD,
    new: NEW.join(''),
    points: ['store.partial-half-written', 'store.partial-written', 'store.locked', 'store.committed'],
  },
  putIfAbsent: {
    action: () => ({ kind: 'put-if-absent', key: KEY, text: NEW.join('') }),
    old: undefined,
    new: NEW.join(''),
    points: ['store.partial-half-written', 'store.partial-written', 'store.before-link', 'store.committed'],
  },
  putIfMatch: {
    action: (etag) => ({ kind: 'put-if-match', key: KEY, text: NEW.join(''), etag }),
    old: OLD,
    new: NEW.join(''),
    points: ['store.partial-half-written', 'store.partial-written', 'store.locked', 'store.committed'],
  },
  delete: {
    action: () => ({ kind: 'delete', key: KEY }),
    old: OLD,
    new: undefined,
    points: ['store.locked'],
  },
  upload: {
    action: () => ({ kind: 'upload', key: KEY, size: NEW.join('').length, pieces: NEW }),
    old: OLD,
    new: NEW.join(''),
    points: [
      'store.upload-synced',
      'store.upload-recorded',
      'store.locked',
      'store.committed',
      'store.upload-committed',
    ],
  },
};
/** From here on the new content is there. */
const COMMITTED: readonly FaultPoint[] = ['store.committed', 'store.upload-committed'];

const ROWS = new Map(
  FAULT_POINTS.filter((point) => point.startsWith('store.')).map((point) => {
    const kinds = Object.entries(WRITES).flatMap(([name, { points }]) => (points.includes(point) ? [name] : []));
    const row = fault({
      area: 'The store in a folder',
      fault: `kill -9 at \`${point}\``,
      where: `a process that writes: ${kinds.join(', ')}`,
      ends: `the ${COMMITTED.includes(point) ? 'new' : 'old'} content is there, whole; no lock and nothing half-written stays`,
    });
    return [point, row] as const;
  }),
);

describe('directory store killed in the middle of a write', () => {
  let description: StoreDescription & { readonly kind: 'directory' };
  let store: DirectoryStore;

  beforeEach(async () => {
    description = { kind: 'directory', root: await mkdtemp(path.join(tmpdir(), 'clara-store-')) };
    store = await openDirectoryStore(description.root);
  });

  afterEach(async () => {
    await store.close();
    await rm(description.root, { recursive: true });
  });

  const content = async (): Promise<string | undefined> => {
    try {
      return (await readAll(store, KEY, 1000)).toString();
    } catch (error) {
      if (hasCode(error, 'not-found')) return undefined;
      throw error;
    }
  };

  it('covers every fault point of the store', () => {
    const covered = new Set(Object.values(WRITES).flatMap(({ points }) => points));
    assert.deepEqual([...covered].sort(), FAULT_POINTS.filter((point) => point.startsWith('store.')).sort());
  });

  for (const [name, write] of Object.entries(WRITES)) {
    for (const point of write.points) {
      ROWS.get(point)!.it(
        `${name} at ${point}: the ${COMMITTED.includes(point) ? 'new' : 'old'} content is there, and work goes on`,
        async () => {
          const etag = write.old === undefined ? '' : (await store.put(KEY, write.old)).etag;
          assert.equal(await StoreProcess.run(description, write.action(etag), point), 'killed');
          assert.equal(await content(), COMMITTED.includes(point) ? write.new : write.old);

          // Whoever comes next finds no lock in the way, sweeps what was left, and does the same write.
          await store.close();
          store = await openDirectoryStore(description.root);
          await store.put(KEY, 'written afterwards');
          assert.equal(await content(), 'written afterwards');
          assert.deepEqual(await readdir(path.join(description.root, '.store', 'partial')), []);
          assert.equal((await readdir(path.join(description.root, '.store', 'owners'))).length, 1);
          assert.deepEqual(
            (await readdir(path.join(description.root, '.store', 'locks'))).filter(
              (lock) => !lock.startsWith('upload-'),
            ),
            [],
          );
        },
      );
    }
  }

  it('goes on with an upload at the last checkpoint that was recorded', async () => {
    const size = NEW.join('').length;
    const upload: StoreAction = { kind: 'upload', key: KEY, size, pieces: NEW };
    const first = NEW[0]!.length;
    const second = first + NEW[1]!.length;
    assert.equal(await StoreProcess.run(description, upload, 'store.upload-synced:2'), 'killed');
    const afterFirst = await store.resumeUpload(KEY, { size });
    assert.equal(afterFirst.durableBytes, first);
    await afterFirst.discard();

    assert.equal(await StoreProcess.run(description, upload, 'store.upload-recorded:2'), 'killed');
    const afterSecond = await store.resumeUpload(KEY, { size });
    assert.equal(afterSecond.durableBytes, second);
    await afterSecond.append(Buffer.from(NEW[2]!));
    await afterSecond.complete();
    assert.equal(await content(), NEW.join(''));
  });
});
