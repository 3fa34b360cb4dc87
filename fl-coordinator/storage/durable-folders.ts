import path from 'node:path';
import { syncFolder } from '../../base/durable-file';
import { mkdir, stat } from '../../base/files';
import { systemCode } from '../../base/system-codes';

const REMEMBERED = 1000;

/** Folders that are there and survive a power cut; each is made, or looked for, once. */
export class DurableFolders {
  readonly #known = new Set<string>();

  /** Makes the folder if need be. */
  async make(folder: string): Promise<void> {
    if (this.#known.has(folder)) return;
    await makeFolderDurably(folder);
    if (this.#known.size === REMEMBERED) this.#known.clear();
    this.#known.add(folder);
  }

  /** Puts something into a folder. When that fails the folder is looked for again: somebody may have removed it. */
  async putInto<Result>(folder: string, put: () => Promise<Result>): Promise<Result> {
    try {
      return await put();
    } catch (error) {
      this.#known.delete(folder);
      throw error;
    }
  }
}

/**
 * Makes a folder, and those above it that are missing, and makes each entry survive a power cut. (The recursive mkdir of Node
 * tells neither which folders it made nor that a file system is read-only.)
 * @throws the system's error; ENOTDIR when a file is in the way
 */
export async function makeFolderDurably(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT') {
      await makeFolderDurably(path.dirname(folder));
      return makeFolderDurably(folder);
    }
    if (code !== 'EEXIST') throw error;
    if ((await stat(folder)).isDirectory()) return;
    throw Object.assign(new Error(`${folder} is not a folder`), { code: 'ENOTDIR' });
  }
  await syncFolder(path.dirname(folder));
}
