import { randomBytes } from 'node:crypto';
import { link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { ClaraError } from '../base/errors';
import { identityOf, isRunning, type ProcessIdentity } from '../base/process-identity';

/** A holder that gave the workspace back is one that does not run. */
const RELEASED: ProcessIdentity = { pid: 1, started: '' };
const holderSchema = z.object({ pid: z.number().int().positive(), started: z.string() });

/**
 * Takes the workspace for this process: two agents in one workspace would train in the same folders. The lock of a killed
 * agent is recognised by its process being gone.
 *
 * Locks are numbered files, `agent.lock.<n>`; the highest number counts. Who finds its holder gone makes the next number by
 * link(2), which only one of many can do, then looks whether a higher one has come meanwhile, and only then removes the
 * lower ones. A number is never given back, so that nobody who looked long ago can take one that was used since.
 *
 * @returns gives the workspace back
 * @throws ClaraError `precondition-failed` while another agent runs
 */
export async function lockWorkspace(workspace: string): Promise<() => Promise<void>> {
  await mkdir(workspace, { recursive: true });
  const lock = (number: number) => path.join(workspace, `agent.lock.${number}`);
  const own = await writeAside(workspace, identityOf(process.pid));
  try {
    for (;;) {
      const highest = Math.max(0, ...(await lockNumbers(workspace)));
      const holder = await holderOf(lock(highest));
      if (holder && isRunning(holder)) {
        throw new ClaraError(
          'precondition-failed',
          `the workspace ${workspace} is in use by process ${holder.pid}; stop that agent or give this one another workspace`,
        );
      }
      const number = highest + 1;
      if (!(await linked(own, lock(number)))) continue;
      const numbers = await lockNumbers(workspace);
      if (numbers.some((other) => other > number)) {
        await rm(lock(number), { force: true });
        continue;
      }
      for (const lower of numbers) if (lower < number) await rm(lock(lower), { force: true });
      return async () => rename(await writeAside(workspace, RELEASED), lock(number));
    }
  } finally {
    await rm(own, { force: true });
  }
}

async function lockNumbers(workspace: string): Promise<number[]> {
  const names = await readdir(workspace);
  return names.flatMap((name) => /^agent\.lock\.(\d{1,15})$/.exec(name)?.[1] ?? []).map(Number);
}

/** What becomes visible under the lock's name by link(2) or rename(2) is complete. */
async function writeAside(workspace: string, holder: ProcessIdentity): Promise<string> {
  const file = path.join(workspace, `.agent.lock-${randomBytes(6).toString('hex')}`);
  try {
    await writeFile(file, JSON.stringify(holder), { flag: 'wx' });
    return file;
  } catch (error) {
    throw ClaraError.from(error, `cannot lock the workspace ${workspace}`);
  }
}

async function linked(own: string, lock: string): Promise<boolean> {
  try {
    await link(own, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw ClaraError.from(error, `cannot lock the workspace ${path.dirname(lock)}`);
  }
}

/** None when there is no such lock, or none that makes sense. */
async function holderOf(lock: string): Promise<ProcessIdentity | undefined> {
  try {
    return holderSchema.safeParse(JSON.parse(await readFile(lock, 'utf8'))).data;
  } catch {
    return undefined;
  }
}
