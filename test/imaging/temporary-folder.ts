import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A folder for each test of the surrounding `describe`, removed after it. */
export function temporaryFolder(): () => string {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'clara-imaging-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));
  return () => folder;
}
