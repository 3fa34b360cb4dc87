import assert from 'node:assert/strict';
import path from 'node:path';
import { isOnLocalDisk } from '../../base/local-disk';

describe('a folder on a local disk', () => {
  it('is told from one that is not, and from none', async () => {
    assert.equal(await isOnLocalDisk(__dirname), true);
    // As a network file system, this one is none of those that are known to be local.
    assert.equal(await isOnLocalDisk('/proc'), false);
    assert.equal(await isOnLocalDisk(path.join(__dirname, 'nowhere')), false);
  });
});
