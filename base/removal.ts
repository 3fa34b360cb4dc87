import path from 'node:path';
import { lstat, readdir, rm, rmdir, unlink } from './files';
import { unlessCode } from './system-codes';

/** rm(1) in as few system calls as it takes: that of Node asks of every name, twice, what it is before it removes it. */

/** Does nothing when there is no such file. @throws the system's error, also for a folder */
export async function removeFile(file: string): Promise<void> {
  await unlessCode(unlink(file), 'ENOENT');
}

/** Removes a folder, or what stands in its place, and all in it; does nothing when there is none. @throws the system's error */
export async function removeFolder(folder: string): Promise<void> {
  try {
    // What a link points to is not in the folder, also when the link stands in its place.
    if ((await lstat(folder)).isDirectory()) return await removeTree(folder);
    await unlink(folder);
  } catch {
    // Not there, no folder, or somebody wrote into it or removed something meanwhile.
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function removeTree(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true });
  for (const entry of entries) {
    const name = path.join(folder, entry.name);
    await (entry.isDirectory() ? removeTree(name) : unlink(name));
  }
  await rmdir(folder);
}
