import path from 'node:path';
import { type ByteSource, syncFolder } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { link, rename, stat, statfs, unlink } from '../../base/files';
import { hasSystemCode, unlessCode } from '../../base/system-codes';
import { faultPoint } from '../fault-points';
import { piecesOf } from './byte-source';
import { DirectoryUploads } from './directory-uploads';
import { DurableFolders, makeFolderDurably } from './durable-folders';
import { storeError, throwIfAborted } from './file-errors';
import { infoOf, infoOfFile, openObject, openRangeReader, resolveRange, streamFile } from './object-file';
import { checkKey } from './object-key';
import { listTree } from './object-listing';
import type {
  AbortOption,
  ExpectedObject,
  GetOptions,
  ListedObject,
  ListOptions,
  ObjectInfo,
  ObjectStore,
  ObjectWriter,
  RangeReader,
  ResumableUpload,
  StoredObject,
} from './object-store';
import { PartialFile } from './partial-file';
import { WORKROOM_NAME, Workroom } from './workroom';

/**
 * Opens a folder as a store, and makes it when it is missing. A folder that may not be written can be read.
 * @throws ClaraError `invalid-input` when it is not a folder; `permission-denied`
 */
export async function openDirectoryStore(root: string): Promise<DirectoryStore> {
  try {
    await makeFolderDurably(path.resolve(root));
    return new DirectoryStore(path.resolve(root));
  } catch (error) {
    if (!hasSystemCode(error, 'ENOTDIR')) throw storeError(error, `opening the store ${root}`);
    throw new ClaraError('invalid-input', `the store ${root} is not a folder; name a folder`, { cause: error });
  }
}

/**
 * The object store in a folder: the object `a/b` is the file `a/b`. A write goes to a file beside, is synced, and appears by
 * rename(2) or link(2), whose folder is synced; so an object is there whole or not at all after kill -9 or a power cut.
 *
 * Replacing and removing an object hold the key's lock (file-lock.ts), so `putIfMatch` compares and replaces in one step.
 * Creating one needs no lock: link(2) itself fails when the name is taken. Reading needs none either.
 *
 * The folder must be on a local file system of one machine. Processes in several containers may share it, but then the lock
 * of one that was killed is broken only after ten minutes (store-owner.ts).
 */
export class DirectoryStore implements ObjectStore {
  /** Made by the first write, so that a read-only folder can be read. */
  #workroom: Promise<Workroom> | undefined;
  readonly #folders = new DurableFolders();
  readonly #uploads = new DirectoryUploads({
    workroom: () => this.#open(),
    room: () => this.room(),
    commit: (key, data) => this.#replace(key, data),
  });

  constructor(private readonly root: string) {}

  async get(key: string, { range, signal }: GetOptions = {}): Promise<StoredObject> {
    return this.#doing('reading', key, async () => {
      throwIfAborted(signal, `reading ${key}`);
      const handle = await openObject(this.#fileOf(key), key);
      let streaming = false;
      try {
        const { size, etag, content } = await infoOf(handle);
        const { begin, end } = resolveRange(range, size, key);
        if (content) return { size, etag, bytes: once(content.subarray(begin, end)) };
        streaming = true;
        return { size, etag, bytes: streamFile(handle, begin, end, key, signal) };
      } finally {
        if (!streaming) await handle.close();
      }
    });
  }

  async head(key: string): Promise<ObjectInfo> {
    return this.#doing('reading', key, () => infoOfFile(this.#fileOf(key), key));
  }

  async put(key: string, source: ByteSource, { signal }: AbortOption = {}): Promise<ObjectInfo> {
    return this.#write(key, source, signal, (partial) => this.#replace(key, partial));
  }

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<ObjectInfo> {
    return this.#write(key, bytes, undefined, async (partial) => {
      const folder = await this.#folderOf(key);
      faultPoint('store.before-link');
      try {
        await this.#folders.putInto(folder, () => link(partial, this.#fileOf(key)));
      } catch (error) {
        if (!hasSystemCode(error, 'EEXIST')) throw error;
        throw new ClaraError('precondition-failed', `${key} exists already; it was left as it is`, { cause: error });
      }
      faultPoint('store.committed');
      await syncFolder(folder);
      await unlink(partial);
    });
  }

  async putIfMatch(key: string, bytes: Uint8Array, etag: string): Promise<ObjectInfo> {
    return this.#write(key, bytes, undefined, (partial) =>
      this.#replace(key, partial, async () => {
        const found = await infoOfFile(this.#fileOf(key), key).catch(() => undefined);
        if (found?.etag === etag) return;
        const why = found === undefined ? 'is not there' : 'was changed by somebody else';
        throw new ClaraError('precondition-failed', `${key} ${why}; read it again and decide anew`);
      }),
    );
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ListedObject> {
    try {
      yield* listTree(this.root, prefix, options);
    } catch (error) {
      throw storeError(error, `listing ${prefix}`);
    }
  }

  async delete(key: string): Promise<void> {
    await this.#doing('deleting', key, async () => {
      const file = this.#fileOf(key);
      // A store that was never written, or may not be, has nothing to delete.
      if ((await unlessCode(stat(file), 'ENOENT', 'ENOTDIR'))?.isFile() !== true) return;
      const workroom = await this.#open();
      await workroom.withKeyLocked(key, async () => {
        faultPoint('store.locked');
        if ((await unlessCode(unlink(file), 'ENOENT', 'ENOTDIR')) === undefined) await syncFolder(path.dirname(file));
      });
    });
  }

  async openForRanges(key: string): Promise<RangeReader> {
    return this.#doing('reading', key, () => openRangeReader(this.#fileOf(key), key));
  }

  async create(key: string): Promise<ObjectWriter> {
    return this.#doing('writing', key, () => this.#partialFile(key, (partial) => this.#replace(key, partial)));
  }

  async resumeUpload(key: string, expected: ExpectedObject): Promise<ResumableUpload> {
    return this.#doing('uploading', key, () => this.#uploads.resume(key, expected));
  }

  async room(): Promise<number> {
    try {
      const { bavail, bsize } = await statfs(this.root);
      return bavail * bsize;
    } catch (error) {
      throw storeError(error, `looking for room in ${this.root}`);
    }
  }

  /** Suspends open uploads and takes this process's card out of the store. The store opens again by itself when it is used. */
  async close(): Promise<void> {
    await this.#uploads.suspend();
    const workroom = await this.#workroom?.catch(() => undefined);
    this.#workroom = undefined;
    await workroom?.close();
  }

  async #write(
    key: string,
    source: ByteSource,
    signal: AbortSignal | undefined,
    commit: (partial: string) => Promise<void>,
  ): Promise<ObjectInfo> {
    return this.#doing('writing', key, async () => {
      const file = await this.#partialFile(key, commit);
      try {
        for await (const piece of piecesOf(source)) {
          throwIfAborted(signal, `writing ${key}`);
          await file.write(piece);
        }
        throwIfAborted(signal, `writing ${key}`);
        return await file.finish();
      } finally {
        await file.discard();
      }
    });
  }

  async #partialFile(key: string, commit: (partial: string) => Promise<void>): Promise<PartialFile> {
    const workroom = await this.#open();
    return PartialFile.create(workroom.partialFile(), key, commit);
  }

  /** Moves a durable file to its key, after `check` under the key's lock. */
  async #replace(key: string, file: string, check?: () => Promise<void>): Promise<void> {
    const workroom = await this.#open();
    const folder = await this.#folderOf(key);
    await workroom.withKeyLocked(key, async () => {
      faultPoint('store.locked');
      await check?.();
      await this.#folders.putInto(folder, () => rename(file, this.#fileOf(key)));
      faultPoint('store.committed');
    });
    // Without the lock, which is held for less than a slow disk takes: whoever replaces this next syncs both.
    await syncFolder(folder);
  }

  async #folderOf(key: string): Promise<string> {
    const folder = path.dirname(this.#fileOf(key));
    await this.#folders.make(folder);
    return folder;
  }

  async #open(): Promise<Workroom> {
    if (this.#workroom === undefined) {
      const opening = Workroom.open(path.join(this.root, WORKROOM_NAME));
      this.#workroom = opening;
      opening.catch(() => {
        this.#workroom = undefined;
      });
    }
    return this.#workroom;
  }

  #fileOf(key: string): string {
    return path.join(this.root, key);
  }

  async #doing<Result>(verb: string, key: string, work: () => Promise<Result>): Promise<Result> {
    checkKey(key);
    try {
      return await work();
    } catch (error) {
      throw storeError(error, `${verb} ${key}`);
    }
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}
