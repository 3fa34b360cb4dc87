import { randomBytes } from 'node:crypto';
import { hostname, userInfo } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { ClaraError } from './errors';
import { link, mkdir, readdir, readFile, rename, rm, writeFile } from './files';
import { identityOf, isRunning } from './process-identity';
import { hasSystemCode } from './system-codes';

const HOLDER = z.object({
  pid: z.number().int().positive(),
  started: z.string(),
  /** What a person asks who is refused; absent in locks of earlier versions. */
  host: z.string().optional(),
  user: z.string().optional(),
  since: z.string().optional(),
});

/** Who holds a lock, and since when (ISO 8601). */
export type LockHolder = z.output<typeof HOLDER>;

/** A holder that gave the folder back is one that does not run. */
const RELEASED: LockHolder = { pid: 1, started: '' };

export interface ProcessLock {
  readonly folder: string;
  /** Locks of other names in the same folder do not touch this one; letters, digits, dots and dashes. */
  readonly name: string;
  /** What is refused to whoever comes while the holder runs; it says who holds it and the way out. */
  readonly refusal: (holder: LockHolder, file: string) => string;
  /**
   * Processes of other machines come to this folder, too. Whether one of those still runs cannot be learned here, so that its lock
   * stands until somebody removes it. @default false
   */
  readonly shared?: boolean;
}

/**
 * Takes a folder for this process. The lock of a killed process is recognised by that process being gone.
 *
 * Locks are numbered files, `<name>.lock.<n>`; the highest number counts. Who finds its holder gone makes the next number by
 * link(2), which only one of many can do, then looks whether a higher one has come meanwhile, and only then removes the
 * lower ones. A number is never given back, so that nobody who looked long ago can take one that was used since.
 *
 * @returns gives the folder back
 * @throws ClaraError `precondition-failed` while another process holds it
 */
export async function lockFolder({ folder, name, refusal, shared = false }: ProcessLock): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true });
  const lock = (number: number) => path.join(folder, `${name}.lock.${number}`);
  const holds = (holder: LockHolder) =>
    holder.started !== '' && shared && holder.host !== hostname() ? true : isRunning(holder);
  const own = await writeAside(folder, name, {
    ...identityOf(process.pid),
    host: hostname(),
    user: userName(),
    since: new Date().toISOString(),
  });
  try {
    for (;;) {
      const highest = Math.max(0, ...(await lockNumbers(folder, name)));
      const holder = await holderOf(lock(highest));
      if (holder && holds(holder)) throw new ClaraError('precondition-failed', refusal(holder, lock(highest)));
      const number = highest + 1;
      if (!(await linked(own, lock(number)))) continue;
      const numbers = await lockNumbers(folder, name);
      if (numbers.some((other) => other > number)) {
        await rm(lock(number), { force: true });
        continue;
      }
      for (const lower of numbers) if (lower < number) await rm(lock(lower), { force: true });
      return async () => rename(await writeAside(folder, name, RELEASED), lock(number));
    }
  } finally {
    await rm(own, { force: true });
  }
}

async function lockNumbers(folder: string, name: string): Promise<number[]> {
  const start = `${name}.lock.`;
  return (await readdir(folder)).flatMap((file) => {
    const number = file.startsWith(start) ? file.slice(start.length) : '';
    return /^\d{1,15}$/.test(number) ? [Number(number)] : [];
  });
}

/** What becomes visible under the lock's name by link(2) or rename(2) is complete. */
async function writeAside(folder: string, name: string, holder: LockHolder): Promise<string> {
  const file = path.join(folder, `.${name}.lock-${randomBytes(6).toString('hex')}`);
  try {
    await writeFile(file, JSON.stringify(holder), { flag: 'wx' });
    return file;
  } catch (error) {
    throw ClaraError.from(error, `cannot lock ${folder}`);
  }
}

async function linked(own: string, lock: string): Promise<boolean> {
  try {
    await link(own, lock);
    return true;
  } catch (error) {
    if (hasSystemCode(error, 'EEXIST')) return false;
    throw ClaraError.from(error, `cannot lock ${path.dirname(lock)}`);
  }
}

/** None when there is no such lock, or none that makes sense. */
async function holderOf(lock: string): Promise<LockHolder | undefined> {
  try {
    return HOLDER.safeParse(JSON.parse(await readFile(lock, 'utf8'))).data;
  } catch {
    return undefined;
  }
}

/** In a container a user may have a number and no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `user ${process.getuid?.() ?? 'unknown'}`;
  }
}
