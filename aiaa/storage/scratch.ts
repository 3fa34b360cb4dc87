import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { endGroup, identityOf, type ProcessIdentity } from '../../base/process-identity';
import { hasSystemCode } from '../../base/system-codes';

/**
 * Short-lived folders with patient data: one per request, removed when the request ends. Each server process keeps its
 * own below a folder that names its host and process, so that a server can remove what a killed one left behind, also
 * when several servers share the workspace.
 */

const HEARTBEAT_MS = 60_000;
/** A folder of another host is dead when its heartbeat is older than this. */
const SILENT_MS = 15 * HEARTBEAT_MS;
/** What worked for a dead server may take so long to end; then its folder is left to the next sweep. */
const END_MS = 10_000;

export interface ScratchOptions {
  /** Told once of each process that a dead server left and that cannot be ended: its folder stays until it is gone. */
  readonly onStuck?: (leader: ProcessIdentity) => void;
  /** @default 10 s */
  readonly endMs?: number;
}

export class Scratch {
  private readonly heartbeat: NodeJS.Timeout;

  private constructor(
    private readonly dead: DeadServers,
    private readonly own: string,
  ) {
    this.heartbeat = setInterval(() => {
      const now = new Date();
      utimes(own, now, now).catch(() => {}); // the folder is gone after close()
    }, HEARTBEAT_MS);
    this.heartbeat.unref();
  }

  /** Removes the folders of dead servers below `root` and makes one for this process. */
  static async open(root: string, options: ScratchOptions = {}): Promise<Scratch> {
    await mkdir(root, { recursive: true, mode: 0o700 });
    const dead = new DeadServers(root, options);
    await dead.remove();
    const own = path.join(root, `${hostname()}~${process.pid}~${randomBytes(6).toString('hex')}`);
    await mkdir(own, { mode: 0o700 });
    opened.add(path.basename(own));
    return new Scratch(dead, own);
  }

  /** A new empty folder, for this request alone. */
  async folder(): Promise<string> {
    const folder = path.join(this.own, randomBytes(8).toString('hex'));
    await mkdir(folder, { mode: 0o700 });
    return folder;
  }

  /** Removes what servers left behind that were killed meanwhile. */
  sweep(): Promise<void> {
    return this.dead.remove();
  }

  async close(): Promise<void> {
    clearInterval(this.heartbeat);
    await rm(this.own, { recursive: true, force: true });
    opened.delete(path.basename(this.own));
  }
}

/** In a request's folder: the leader of a process group that works there, as {@link ProcessIdentity}. */
const WORKING = 'process.json';

const identitySchema = z.object({ pid: z.int().positive(), started: z.string() });

/**
 * Says that a process group works in a short-lived folder. It does not end with the server that started it: when that is killed, whoever
 * removes the folder ends the group first. Synchronous, so that nothing can happen between the start and this.
 */
export function markWorking(folder: string, pid: number): void {
  writeFileSync(path.join(folder, WORKING), JSON.stringify(identityOf(pid)), { mode: 0o600 });
}

/** Leaders of the groups that worked in the folder of a server. */
async function workIn(folder: string): Promise<readonly ProcessIdentity[]> {
  const leaders: ProcessIdentity[] = [];
  for (const request of await readdir(folder).catch(() => [])) {
    const text = await readFile(path.join(folder, request, WORKING), 'utf8').catch(() => undefined);
    const leader = identitySchema.safeParse(text === undefined ? undefined : parseJson(text));
    if (leader.success) leaders.push(leader.data);
  }
  return leaders;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the server was killed while it wrote
  }
}

/** Folders of this very process; anything else that carries its process number belongs to a dead predecessor. */
const opened = new Set<string>();

/** What killed servers left behind: their folders, and what works in them. */
class DeadServers {
  private readonly told = new Set<string>();

  constructor(
    private readonly root: string,
    private readonly options: ScratchOptions,
  ) {}

  async remove(): Promise<void> {
    for (const name of await readdir(this.root)) {
      const folder = path.join(this.root, name);
      if (!(await isDead(folder, name))) continue;
      if (name.startsWith(`${hostname()}~`) && !(await this.endWork(folder))) continue;
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** @returns whether nothing works there any more */
  private async endWork(folder: string): Promise<boolean> {
    const { endMs = END_MS, onStuck } = this.options;
    let allEnded = true;
    for (const leader of await workIn(folder)) {
      try {
        await endGroup(leader, { signal: AbortSignal.timeout(endMs) });
      } catch {
        allEnded = false;
        const key = `${leader.pid} ${leader.started}`;
        if (!this.told.has(key)) onStuck?.(leader);
        this.told.add(key);
      }
    }
    return allEnded;
  }
}

async function isDead(folder: string, name: string): Promise<boolean> {
  const [host, pid] = name.split('~');
  if (host === hostname() && /^\d+$/.test(pid ?? '')) {
    return Number(pid) === process.pid ? !opened.has(name) : !isRunning(Number(pid));
  }
  const seen = await stat(folder).catch(() => undefined);
  return seen !== undefined && Date.now() - seen.mtimeMs > SILENT_MS;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasSystemCode(error, 'EPERM');
  }
}
