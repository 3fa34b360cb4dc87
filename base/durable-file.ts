import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { mkdir, type OpenFile, open, readdir, rename, rm } from './files';
import { hasSystemCode } from './system-codes';

/**
 * Files that are there whole or not at all, and stay after a power cut: write beside the target, fsync, rename, fsync the
 * folder (POSIX rename(2) is atomic within one file system). Leftovers of a killed writer carry {@link PARTIAL_MARK}.
 */

const PARTIAL_MARK = '.partial-';

export type ByteSource = Uint8Array | string | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface WriteOptions {
  /** Permission bits of the new file. @default 0o644 */
  readonly mode?: number;
  readonly signal?: AbortSignal;
}

/** Replaces `target` by `source`. On any failure the old file stays as it was and nothing is left beside it. */
export async function writeFileDurably(target: string, source: ByteSource, options: WriteOptions = {}): Promise<void> {
  const folder = path.dirname(target);
  const partial = path.join(folder, `.${path.basename(target)}${PARTIAL_MARK}${randomBytes(6).toString('hex')}`);
  try {
    const file = await inFolder(folder, () => open(partial, 'wx', options.mode ?? 0o644));
    try {
      await writeAll(file, source, options.signal);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, target);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** Makes something in a folder, and the folder when that is missing: it hardly ever is, so nobody asks first. */
export async function inFolder<Made>(folder: string, make: () => Promise<Made>): Promise<Made> {
  try {
    return await make();
  } catch (error) {
    if (!hasSystemCode(error, 'ENOENT')) throw error;
    await mkdir(folder, { recursive: true });
    return make();
  }
}

/** Makes renames and links inside `folder` survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes what killed writers left in `folder`. Call it only while nobody else writes there. */
export async function removePartials(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith('.') && name.includes(PARTIAL_MARK)) await rm(path.join(folder, name), { force: true });
  }
}

async function writeAll(file: OpenFile, source: ByteSource, signal?: AbortSignal): Promise<void> {
  if (typeof source === 'string' || source instanceof Uint8Array) {
    await file.writeAll(typeof source === 'string' ? Buffer.from(source) : source);
    return;
  }
  for await (const chunk of source) {
    signal?.throwIfAborted();
    await file.writeAll(chunk);
  }
}
