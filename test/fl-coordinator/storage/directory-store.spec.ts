import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { objectStoreContract } from '../../contract/object-store.contract';

describe('directory store', () => {
  objectStoreContract({
    create: async () => ({ kind: 'directory' as const, root: await mkdtemp(path.join(tmpdir(), 'clara-store-')) }),
    remove: ({ root }) => rm(root, { recursive: true }),
    openUploads: 'are-locked',
    replacedObjects: 'stay-readable',
  });
});
