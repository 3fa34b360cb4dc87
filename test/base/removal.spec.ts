import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { removeFile, removeFolder } from '../../base/removal';

describe('removal', () => {
  let root: string;
  const at = (...names: string[]) => path.join(root, ...names);
  beforeEach(() => {
    root = mkdtempSync(path.join(tmpdir(), 'clara-removal-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('takes a folder with all in it, and nothing that a link in it points to', async () => {
    mkdirSync(at('outside'));
    writeFileSync(at('outside', 'kept'), 'x');
    mkdirSync(at('folder', 'a', 'b'), { recursive: true });
    writeFileSync(at('folder', 'a', 'b', 'file'), 'x');
    symlinkSync(at('outside'), at('folder', 'a', 'link'));
    symlinkSync(at('nowhere'), at('folder', 'dangling'));
    await removeFolder(at('folder'));
    assert.deepEqual(readdirSync(root), ['outside']);
    assert.ok(existsSync(at('outside', 'kept')));
  });

  it('takes a link that stands in the place of a folder, and nothing of what it points to', async () => {
    mkdirSync(at('outside'));
    writeFileSync(at('outside', 'kept'), 'x');
    symlinkSync(at('outside'), at('folder'));
    await removeFolder(at('folder'));
    assert.deepEqual(readdirSync(root), ['outside']);
    assert.ok(existsSync(at('outside', 'kept')));
  });

  it('does nothing where nothing is', async () => {
    await removeFolder(at('absent'));
    await removeFile(at('absent'));
    await removeFile(at('absent', 'below'));
  });

  it('takes a file and refuses a folder as one', async () => {
    writeFileSync(at('file'), 'x');
    mkdirSync(at('folder'));
    await removeFile(at('file'));
    await assert.rejects(removeFile(at('folder')));
    assert.deepEqual(readdirSync(root), ['folder']);
  });

  it('takes what stands in the place of a folder', async () => {
    writeFileSync(at('folder'), 'x');
    await removeFolder(at('folder'));
    assert.deepEqual(readdirSync(root), []);
  });
});
