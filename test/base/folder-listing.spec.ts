import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { foldersIn, namesIn } from '../../base/folder-listing';

describe('what lies in a folder', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(path.join(tmpdir(), 'clara-listing-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('is its names, and of those the folders, a link being none', async () => {
    mkdirSync(path.join(root, 'folder'));
    writeFileSync(path.join(root, 'file'), 'x');
    symlinkSync(path.join(root, 'folder'), path.join(root, 'link'));
    assert.deepEqual((await namesIn(root)).sort(), ['file', 'folder', 'link']);
    assert.deepEqual(await foldersIn(root), ['folder']);
  });

  it('is nothing where none is, and an error where a file is', async () => {
    assert.deepEqual(await namesIn(path.join(root, 'absent')), []);
    assert.deepEqual(await foldersIn(path.join(root, 'absent')), []);
    writeFileSync(path.join(root, 'file'), 'x');
    await assert.rejects(namesIn(path.join(root, 'file'), 'listing models'), {
      name: 'ClaraError',
      message: /^listing models: /,
    });
  });
});
