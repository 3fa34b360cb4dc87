import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { ClaraError } from '../../base/errors';
import { type OpenFile, open } from '../../base/files';
import { readFully } from '../../base/positioned-io';
import { unlessCode } from '../../base/system-codes';
import { storeError, throwIfAborted } from './file-errors';
import type { GetOptions, ObjectInfo, RangeReader } from './object-store';

/** Objects as files: reading, and what an etag is. */

/**
 * Up to this size the etag is the digest of the content. Larger objects are models and updates, which nobody changes by
 * `putIfMatch`; reading a gigabyte for each `head` would be the wrong price, so their etag is made of inode, time of
 * modification and size. Every replacement makes a new inode, and rename(2) keeps all three.
 */
export const DIGEST_ETAG_BYTES = 1 << 20;
const PIECE_BYTES = 1 << 20;

/** @throws ClaraError `not-found`, also for a folder */
export async function openObject(file: string, key: string): Promise<OpenFile> {
  return (await openFile(file, key)).handle;
}

async function openFile(file: string, key: string): Promise<{ readonly handle: OpenFile; readonly size: number }> {
  const handle = await unlessCode(open(file, 'r'), 'ENOENT', 'ENOTDIR');
  if (handle === undefined) throw notFound(key);
  const stats = await handle.stat();
  if (stats.isFile()) return { handle, size: stats.size };
  await handle.close();
  throw notFound(key);
}

/** Reads an open file; small ones whole, which makes them a snapshot whose etag fits. */
export async function infoOf(handle: OpenFile): Promise<ObjectInfo & { readonly content?: Buffer }> {
  const stats = await handle.exactStat();
  const size = Number(stats.size);
  if (size > DIGEST_ETAG_BYTES) return { size, etag: etagOfStats(stats) };
  const content = Buffer.allocUnsafe(size);
  await readFully(handle, 0, content, 'a stored object');
  return { size, etag: etagOfContent(content), content };
}

/** As {@link infoOf}, of a file that is not open. */
export async function infoOfFile(file: string, key: string): Promise<ObjectInfo> {
  const handle = await openObject(file, key);
  try {
    const { size, etag } = await infoOf(handle);
    return { size, etag };
  } finally {
    await handle.close();
  }
}

/** The bytes that a range means. @throws ClaraError `invalid-input` */
export function resolveRange(range: GetOptions['range'], size: number, key: string): { begin: number; end: number } {
  const { offset, length = Number.POSITIVE_INFINITY } = range ?? { offset: 0 };
  if (!Number.isSafeInteger(offset) || offset < 0 || offset > size || !(length >= 0)) {
    throw new ClaraError(
      'invalid-input',
      `the range of ${key} from ${offset} (length ${length}) must be whole numbers of bytes that start within the object${Number.isFinite(size) ? `, which has ${size}` : ''}`,
    );
  }
  return { begin: offset, end: Math.min(size, offset + length) };
}

/** Bytes `begin` to `end` of an open file, which is closed at the end. */
export async function* streamFile(
  handle: OpenFile,
  begin: number,
  end: number,
  key: string,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    for (let position = begin; position < end; ) {
      throwIfAborted(signal, `reading ${key}`);
      const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - position));
      await readFully(handle, position, piece, key);
      position += piece.length;
      yield piece;
    }
  } finally {
    await handle.close();
  }
}

/** pread(2) on one open file: a later replacement of the object does not touch it. */
export async function openRangeReader(file: string, key: string): Promise<RangeReader> {
  const { handle, size } = await openFile(file, key);
  return {
    size,
    async read(offset, target) {
      try {
        await readFully(handle, offset, target, key);
      } catch (error) {
        throw storeError(error, `reading ${key}`);
      }
    },
    close: () => handle.close(),
  };
}

export function notFound(key: string): ClaraError {
  return new ClaraError('not-found', `there is no object ${key}`);
}

function etagOfContent(content: Uint8Array): string {
  return etagOfDigest(createHash('sha256').update(content).digest('hex'));
}

/** @param digest SHA-256 of the content, in hexadecimal */
export function etagOfDigest(digest: string): string {
  return `sha256-${digest}`;
}

function etagOfStats({ ino, mtimeNs, size }: BigIntStats): string {
  return `file-${ino.toString(36)}-${mtimeNs.toString(36)}-${size.toString(36)}`;
}
