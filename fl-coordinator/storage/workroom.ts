import { createHash, randomBytes } from 'node:crypto';
import path from 'node:path';
import { readdir, rm, stat, unlink } from '../../base/files';
import { unlessCode } from '../../base/system-codes';
import { makeFolderDurably } from './durable-folders';
import { type FileLock, lockFile, tryLock } from './file-lock';
import {
  FOREIGN_SILENCE_MS,
  isDead,
  isOwnerCard,
  newOwnerCard,
  type OwnerCard,
  readOwnerCard,
  writeOwnerCard,
} from './store-owner';

/**
 * The folder `.store` of a directory store, where everything lies that is not a whole object:
 *
 * - `owners/<id>.json` cards of those who have the store open for writing;
 * - `locks/` one link to a card for each lock that is held;
 * - `partial/<owner>-<random>` objects that are being written;
 * - `uploads/<key's digest>.part` and `.json` resumable uploads.
 *
 * It is on the same file system as the objects, so that rename(2) and link(2) reach them.
 */

/** Segments of keys do not start with a dot, so this cannot be one. */
export const WORKROOM_NAME = '.store';

/** How long one commit may wait for others of the same key. */
const LOCK_PATIENCE_MS = 10e3;
/** Uploads that nobody has touched for so long are never resumed: their runs have ended. */
const ABANDONED_UPLOAD_MS = 7 * 24 * 3600e3;

export class Workroom {
  private constructor(
    private readonly root: string,
    private readonly card: OwnerCard,
    private readonly cardFile: string,
  ) {}

  /** Makes the folder if need be, and removes what dead owners left. */
  static async open(root: string): Promise<Workroom> {
    for (const name of ['owners', 'locks', 'partial', 'uploads']) await makeFolderDurably(path.join(root, name));
    const card = newOwnerCard();
    const workroom = new Workroom(root, card, await writeOwnerCard(path.join(root, 'owners'), card));
    await workroom.#sweep();
    return workroom;
  }

  async close(): Promise<void> {
    await rm(this.cardFile, { force: true });
  }

  /** A name for a new partial file that a later sweep can tell to be ours. */
  partialFile(): string {
    return path.join(this.root, 'partial', `${this.card.id}-${randomBytes(6).toString('hex')}`);
  }

  uploadFiles(key: string): { readonly data: string; readonly record: string } {
    const base = path.join(this.root, 'uploads', nameOf(key));
    return { data: `${base}.part`, record: `${base}.json` };
  }

  /** Held around every replacement and removal of an object, so that "compare, then replace" is one step. */
  async withKeyLocked<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const lock = await lockFile(path.join(this.root, 'locks', nameOf(key)), this.cardFile, LOCK_PATIENCE_MS);
    try {
      return await work();
    } finally {
      await lock.release();
    }
  }

  /** Held as long as a resumable upload is open. @returns undefined when another open store has it */
  async tryLockUpload(key: string): Promise<FileLock | undefined> {
    return tryLock(path.join(this.root, 'locks', `upload-${nameOf(key)}`), this.cardFile);
  }

  async #sweep(): Promise<void> {
    const owners = path.join(this.root, 'owners');
    const partial = path.join(this.root, 'partial');
    for (const name of await readdir(owners)) {
      const file = path.join(owners, name);
      if (!isOwnerCard(name)) {
        // Of a process that was killed before its card was whole, or is writing it.
        if (!(await youngerThan(file, FOREIGN_SILENCE_MS))) await unlessCode(unlink(file), 'ENOENT');
        continue;
      }
      const card = await readOwnerCard(file);
      if (card === undefined || !(await isDead(card, file))) continue;
      const id = path.basename(name, '.json');
      const left = (await readdir(partial)).filter((each) => each.startsWith(`${id}-`));
      const files = left.map((each) => path.join(partial, each));
      const sameNamespace = card === 'unreadable' || card.namespace === this.card.namespace;
      // Of an owner that cannot be asked, what still grows is left alone.
      if (
        !sameNamespace &&
        (await Promise.all(files.map((each) => youngerThan(each, FOREIGN_SILENCE_MS)))).includes(true)
      )
        continue;
      for (const each of files) await unlessCode(unlink(each), 'ENOENT');
      await unlessCode(unlink(file), 'ENOENT');
    }
    await this.#sweepUploads();
  }

  async #sweepUploads(): Promise<void> {
    const uploads = path.join(this.root, 'uploads');
    for (const name of await readdir(uploads)) {
      const file = path.join(uploads, name);
      if (await youngerThan(file, ABANDONED_UPLOAD_MS)) continue;
      const digest = name.split('.')[0];
      const lock = await tryLock(path.join(this.root, 'locks', `upload-${digest}`), this.cardFile);
      if (!lock) continue;
      try {
        await unlessCode(unlink(file), 'ENOENT');
      } finally {
        await lock.release();
      }
    }
  }
}

async function youngerThan(file: string, millis: number): Promise<boolean> {
  const found = await unlessCode(stat(file), 'ENOENT');
  return found !== undefined && Date.now() - found.mtimeMs < millis;
}

const nameOf = (key: string): string => createHash('sha256').update(key).digest('hex').slice(0, 40);
