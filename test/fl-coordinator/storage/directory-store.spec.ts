import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { objectStoreContract } from '../../contract/object-store.contract';

describe('directory store', () => {
  objectStoreContract({
    create: async () => ({ kind: 'directory' as const, root: await mkdtemp(path.join(tmpdir(), 'clara-store-')) }),
    remove: ({ root }) => rm(root, { recursive: true }),
    openUploads: 'are-locked',
    replacedObjects: 'stay-readable',
  });

  it('lists nothing of its own files or of other folders, whatever the prefix', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'clara-store-'));
    const store = await openDirectoryStore(path.join(folder, 'store'));
    try {
      await writeFile(path.join(folder, 'beside'), 'no object');
      await store.put('a/b', 'an object');
      for (const prefix of ['.store/', '.store/owners/', '../', 'a/../', 'a/../../', '/', 'a//']) {
        for await (const { key } of store.list(prefix)) assert.fail(`${prefix} lists ${key}`);
      }
    } finally {
      await store.close();
      await rm(folder, { recursive: true });
    }
  });
});
