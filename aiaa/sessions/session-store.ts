import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { exists } from '../../base/exists';
import { showBytes } from '../../base/show-bytes';
import { hasSystemCode, unlessCode } from '../../base/system-codes';
import { sessionGone, sessionsFull } from '../errors';
import { seriesFileOf } from '../storage/uploaded-series';
import type { VolumeExtension } from '../storage/uploaded-volume';

/** What a session's file says and what `GET /session/{id}` answers. Times are seconds since 1970, as in Python's time.time(). */
export const sessionSchema = z.object({
  /** The session's id. */
  name: z.string(),
  /** The volume, relative to the workspace; never the name that the client gave it, which may name a patient. */
  path: z.string(),
  create_ts: z.number(),
  last_access_ts: z.number(),
  /** Seconds without access after which the session is over. */
  expiry: z.number().positive(),
});

export type Session = z.infer<typeof sessionSchema>;

const SESSION_FILE = 'session.json';
/** What the system says where there is no file: nothing, a folder in its place, or a file in the place of its folder. */
const NO_FILE = ['ENOENT', 'EISDIR', 'ENOTDIR'];
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Marks a folder that is not complete yet. */
const INCOMPLETE = '.new-';
const INCOMPLETE_KEPT_SECONDS = 3600;

export interface SessionStoreOptions {
  /** Longest expiry in seconds; also what a client gets that asks for 0. */
  readonly maxExpirySeconds: number;
  /** Sessions at one time, and bytes of their volumes, of all servers on the workspace together. @default no limit */
  readonly maxSessions?: number;
  readonly maxBytes?: number;
  /** Seconds since 1970. @default the system's clock */
  readonly now?: () => number;
  /** Told of a session that can be neither read nor removed. */
  readonly onUnreadable?: (error: ClaraError) => void;
}

/** Expired sessions are swept once a minute. */
const RETRY_AFTER_SECONDS = 60;

/**
 * Uploaded volumes that are kept between requests, one folder each below `<workspace>/sessions`. Everything is on disk, so
 * that any server with the same workspace serves any session (clients send no cookies). Expiry slides with each use.
 */
export class SessionStore {
  private readonly root: string;
  private readonly now: () => number;

  constructor(
    private readonly workspace: string,
    private readonly options: SessionStoreOptions,
  ) {
    this.root = path.join(workspace, 'sessions');
    this.now = options.now ?? (() => Date.now() / 1000);
  }

  /**
   * Takes over `volumeFile` (it is moved; it must be on the workspace's file system).
   *
   * @param expiry seconds; 0 or more than the server's maximum means the maximum
   * @throws AiaaError 503 when the workspace keeps as much as it may
   */
  async create(volumeFile: string, extension: VolumeExtension, expiry: number): Promise<Session> {
    const { maxExpirySeconds } = this.options;
    await this.checkRoom((await stat(volumeFile)).size);
    const name = randomUUID();
    const now = this.now();
    const session: Session = {
      name,
      path: path.posix.join('sessions', name, `image${extension}`),
      create_ts: now,
      last_access_ts: now,
      expiry: expiry === 0 ? maxExpirySeconds : Math.min(expiry, maxExpirySeconds),
    };
    const incomplete = path.join(this.root, INCOMPLETE + name);
    await mkdir(incomplete, { recursive: true, mode: 0o700 });
    try {
      const kept = path.join(incomplete, path.basename(session.path));
      await rename(volumeFile, kept);
      await unlessCode(rename(seriesFileOf(volumeFile), seriesFileOf(kept)), 'ENOENT'); // of a DICOM series
      await writeFileDurably(path.join(incomplete, SESSION_FILE), JSON.stringify(session), { mode: 0o600 });
      await rename(incomplete, this.folderOf(name));
    } catch (error) {
      await rm(incomplete, { recursive: true, force: true });
      throw ClaraError.from(error, 'keeping the session');
    }
    return session;
  }

  /** @throws AiaaError 440 when there is no such session or it has expired */
  async find(id: string): Promise<Session> {
    if (!ID.test(id)) throw sessionGone();
    const session = await this.read(id);
    if (session === undefined || this.isOver(session)) throw sessionGone();
    return session;
  }

  /** Like {@link find}, and the expiry starts anew. */
  async use(id: string): Promise<Session> {
    const session = { ...(await this.find(id)), last_access_ts: this.now() };
    try {
      await writeFileDurably(path.join(this.folderOf(id), SESSION_FILE), JSON.stringify(session), { mode: 0o600 });
    } catch (error) {
      throw ClaraError.from(error, 'keeping the session');
    }
    // Somebody may have ended it in between: writing has made its folder anew.
    if (!(await exists(this.volumeOf(session)))) {
      await rm(this.folderOf(id), { recursive: true, force: true });
      throw sessionGone();
    }
    return session;
  }

  /** Where the session's volume lies. */
  volumeOf(session: Session): string {
    return path.join(this.workspace, session.path);
  }

  /** @throws AiaaError 440 when there is no such session */
  async remove(id: string): Promise<void> {
    await this.find(id);
    await rm(this.folderOf(id), { recursive: true, force: true });
  }

  /** Removes what has expired, what is damaged, and what a killed server left half made. Safe beside other servers. */
  async sweep(): Promise<number> {
    let removed = 0;
    for (const name of await readdir(this.root).catch(() => [])) {
      try {
        if (!(await this.isLitter(name))) continue;
        await rm(path.join(this.root, name), { recursive: true, force: true });
        removed += 1;
      } catch (error) {
        this.options.onUnreadable?.(ClaraError.from(error)); // the others must go all the same
      }
    }
    return removed;
  }

  /** Counts what is there: other servers on the workspace add to it too. */
  private async checkRoom(bytes: number): Promise<void> {
    const { maxSessions = Number.POSITIVE_INFINITY, maxBytes = Number.POSITIVE_INFINITY } = this.options;
    const live: Session[] = [];
    for (const name of await readdir(this.root).catch(() => [])) {
      const session = ID.test(name) ? await this.read(name).catch(() => undefined) : undefined;
      if (session && !this.isOver(session)) live.push(session);
    }
    const sizes = await Promise.all(live.map((session) => stat(this.volumeOf(session)).catch(() => ({ size: 0 }))));
    const kept = sizes.reduce((sum, { size }) => sum + size, 0);
    if (live.length < maxSessions && kept + bytes <= maxBytes) return;
    throw sessionsFull(`${live.length} with ${showBytes(kept)}`, RETRY_AFTER_SECONDS);
  }

  private async isLitter(name: string): Promise<boolean> {
    if (ID.test(name)) {
      const session = await this.read(name);
      return session === undefined || this.isOver(session);
    }
    const seen = await stat(path.join(this.root, name)).catch(() => undefined);
    return seen !== undefined && this.now() - seen.mtimeMs / 1000 > INCOMPLETE_KEPT_SECONDS;
  }

  private isOver(session: Session): boolean {
    return this.now() - session.last_access_ts >= session.expiry;
  }

  private async read(id: string): Promise<Session | undefined> {
    let text: string;
    try {
      text = await readFile(path.join(this.folderOf(id), SESSION_FILE), 'utf8');
    } catch (error) {
      if (hasSystemCode(error, ...NO_FILE)) return undefined;
      throw ClaraError.from(error, 'reading the session');
    }
    try {
      return sessionSchema.parse(JSON.parse(text));
    } catch {
      return undefined; // damaged: of no use to anybody, the sweeper removes it
    }
  }

  private folderOf(id: string): string {
    return path.join(this.root, id);
  }
}
