import { createHash } from 'node:crypto';
import { hasCode } from '../../../base/errors';
import { type GetOptions, readAll, type StoredObject } from '../object-store';
import type { S3Bucket } from './s3-bucket';
import { streamObject } from './s3-reader';
import { PART_BYTES } from './s3-writer';

/**
 * What the store keeps for itself, below a name that no key can have:
 *
 * - `.store/format.json` says that this is a store;
 * - `.store/uploads/<digest of the key>/record.json` and `<generation>/00001` ... resumable uploads.
 *
 * Objects that are written in parts lie nowhere before they are complete; S3 lists them as multipart uploads.
 */
export const FILES_PREFIX = '.store/';
/** Behind every name of {@link FILES_PREFIX} and before every key. */
export const BEHIND_FILES = '.store0';
export const FORMAT_NAME = `${FILES_PREFIX}format.json`;
const UPLOADS = `${FILES_PREFIX}uploads/`;

/** Uploads that nobody has touched for so long are never resumed: their runs have ended. */
const ABANDONED_UPLOAD_MS = 7 * 24 * 3600e3;
/** No living process needs so long from the first part of an object to its end. */
const ABANDONED_PARTS_MS = 24 * 3600e3;

export class S3Files {
  constructor(private readonly bucket: S3Bucket) {}

  /** As of the store, for names of files. */
  async get(name: string, { signal }: GetOptions = {}): Promise<StoredObject> {
    const opened = await this.bucket.get(name, { signal });
    const { size, etag } = opened;
    return { size, etag, bytes: streamObject(this.bucket, name, opened, { begin: 0, end: size, signal }) };
  }

  recordName(key: string): string {
    return `${folderOf(key)}record.json`;
  }

  async readRecord(
    key: string,
    maxBytes: number,
  ): Promise<{ readonly text: string; readonly etag: string } | undefined> {
    let etag = '';
    const source = {
      get: async (name: string) => {
        const found = await this.get(name);
        etag = found.etag;
        return found;
      },
    };
    const bytes = await unlessMissing(readAll(source, this.recordName(key), maxBytes));
    return bytes && { text: bytes.toString('utf8'), etag };
  }

  async recordEtag(key: string): Promise<string | undefined> {
    return (await unlessMissing(this.bucket.head(this.recordName(key))))?.etag;
  }

  pieceName(key: string, generation: string, number: number): string {
    return `${folderOf(key)}${generation}/${String(number).padStart(5, '0')}`;
  }

  /** The pieces that can be trusted: without a gap, all full but the last, at most `size` bytes. */
  async pieces(
    key: string,
    generation: string,
    size: number,
  ): Promise<{ readonly name: string; readonly size: number; readonly etag: string }[]> {
    const pieces = [];
    let total = 0;
    for await (const found of this.bucket.list(`${folderOf(key)}${generation}/`)) {
      const isNext = found.name === this.pieceName(key, generation, pieces.length + 1);
      total += found.size;
      if (!isNext || found.size > PART_BYTES || total > size) break;
      pieces.push({ name: found.name, size: found.size, etag: found.etag });
      if (found.size < PART_BYTES) break;
    }
    return pieces;
  }

  async removePieces(key: string, generation: string | undefined): Promise<void> {
    const names = [];
    for await (const { name } of this.bucket.list(`${folderOf(key)}${generation ? `${generation}/` : ''}`)) {
      if (name !== this.recordName(key)) names.push(name);
    }
    await this.bucket.deleteAll(names);
  }

  /** First the record, so that what is left after a crash is never gone on with. */
  async removeUpload(key: string, generation: string): Promise<void> {
    await this.bucket.delete(this.recordName(key));
    await this.removePieces(key, generation);
  }

  /** Removes what the dead have left: uploads that nobody has touched for a week, and objects in parts of a day ago. */
  async sweep(now: number): Promise<void> {
    const uploads = new Map<string, { readonly names: string[]; touched: number }>();
    for await (const { name, modified } of this.bucket.list(UPLOADS)) {
      const folder = name.slice(0, name.indexOf('/', UPLOADS.length));
      const upload = uploads.get(folder) ?? { names: [], touched: 0 };
      upload.names.push(name);
      upload.touched = Math.max(upload.touched, modified.getTime());
      uploads.set(folder, upload);
    }
    for (const { names, touched } of uploads.values()) {
      if (now - touched > ABANDONED_UPLOAD_MS) await this.bucket.deleteAll(names);
    }
    for (const parts of await this.bucket.unfinishedParts()) {
      if (now - parts.begun.getTime() > ABANDONED_PARTS_MS) await this.bucket.abortParts(parts);
    }
  }
}

const folderOf = (key: string): string => `${UPLOADS}${createHash('sha256').update(key).digest('hex').slice(0, 40)}/`;

async function unlessMissing<Result>(work: Promise<Result>): Promise<Result | undefined> {
  try {
    return await work;
  } catch (error) {
    if (hasCode(error, 'not-found')) return undefined;
    throw error;
  }
}
