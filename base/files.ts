import * as sync from 'node:fs';
import * as pool from 'node:fs/promises';
import { fileWaiting } from './file-waiting';
import { type OpenFlags, open } from './open-file';

/**
 * Files by name, as in `node:fs/promises`, for whoever does many small things with them. Open ones are of our own
 * (open-file.ts), and who waits for them is said in one place (file-waiting.ts).
 */

// Rare ones.
export { chmod, cp, mkdtemp, opendir, truncate } from 'node:fs/promises';
export { type OpenFile, open } from './open-file';

export const stat = named(pool.stat, sync.statSync);
export const lstat = named(pool.lstat, sync.lstatSync);
export const readdir = named(pool.readdir, sync.readdirSync);
export const statfs = named(pool.statfs, sync.statfsSync);
export const link = named(pool.link, sync.linkSync);
export const unlink = named(pool.unlink, sync.unlinkSync);
export const rename = named(pool.rename, sync.renameSync);
export const mkdir = named(pool.mkdir, sync.mkdirSync);
export const rmdir = named(pool.rmdir, sync.rmdirSync);
export const rm = named(pool.rm, sync.rmSync);
export const utimes = named(pool.utimes, sync.utimesSync);

/** What /proc and the like answer has no size. */
const UNSIZED_PIECE_BYTES = 16 << 10;

/** All of a file. @throws the system's error */
export function readFile(file: string): Promise<Buffer>;
export function readFile(file: string, encoding: 'utf8' | 'latin1'): Promise<string>;
export async function readFile(file: string, encoding?: 'utf8' | 'latin1'): Promise<Buffer | string> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const pieces: Buffer[] = [];
    // What was there at the beginning; what has no size, to its end.
    for (let left = size; size === 0 || left > 0; ) {
      const piece = Buffer.allocUnsafe(left || UNSIZED_PIECE_BYTES);
      const { bytesRead } = await handle.read(piece, 0, piece.length);
      if (bytesRead === 0) break;
      pieces.push(piece.subarray(0, bytesRead));
      left = Math.max(0, left - bytesRead);
    }
    const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    return encoding === undefined ? bytes : bytes.toString(encoding);
  } finally {
    await handle.close();
  }
}

export interface WriteFileOptions {
  /** @default 'w' */
  readonly flag?: OpenFlags;
  /** @default 0o666 */
  readonly mode?: number;
}

/** Makes or replaces a file; not whole or not at all, and not durable: for that see durable-file.ts. @throws the system's error */
export async function writeFile(
  file: string,
  content: string | Uint8Array,
  options: WriteFileOptions = {},
): Promise<void> {
  const handle = await open(file, options.flag ?? 'w', options.mode);
  try {
    await handle.writeAll(typeof content === 'string' ? Buffer.from(content) : content);
  } finally {
    await handle.close();
  }
}

// The overloads of Node's functions are those of the ones that wait in the pool.
type Named = (...args: never[]) => Promise<unknown>;

function named<Operation extends Named>(inPool: Operation, inPlace: (...args: never[]) => unknown): Operation {
  return (async (...args: never[]) => (fileWaiting() === 'in-place' ? inPlace(...args) : inPool(...args))) as Operation;
}
