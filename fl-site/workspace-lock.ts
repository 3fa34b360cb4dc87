import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { ClaraError } from '../base/errors';
import { identityOf, isRunning } from './trainers/process-identity';

const holderSchema = z.object({ pid: z.number().int().positive(), started: z.string() });

/**
 * Takes the workspace for this process: two agents in one workspace would train in the same folders. The lock of a killed
 * agent is recognised by its process being gone.
 *
 * @returns gives the workspace back
 * @throws ClaraError `precondition-failed` while another agent runs
 */
export async function lockWorkspace(workspace: string): Promise<() => Promise<void>> {
  await mkdir(workspace, { recursive: true });
  const lock = path.join(workspace, 'agent.lock');
  const own = path.join(workspace, `.agent.lock.${randomBytes(6).toString('hex')}`);
  await writeFile(own, JSON.stringify(identityOf(process.pid)), { flag: 'wx' });
  try {
    while (!(await linked(own, lock))) await removeStale(lock, workspace);
  } finally {
    await rm(own, { force: true });
  }
  return () => rm(lock, { force: true });
}

/** link(2) succeeds for one of several processes, and what it makes visible is complete. */
async function linked(own: string, lock: string): Promise<boolean> {
  try {
    await link(own, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw ClaraError.from(error, `cannot lock the workspace ${path.dirname(lock)}`);
  }
}

async function removeStale(lock: string, workspace: string): Promise<void> {
  const text = await readFile(lock, 'utf8').catch(() => undefined);
  if (text === undefined) return;
  const holder = parseHolder(text);
  if (holder && isRunning(holder)) {
    throw new ClaraError(
      'precondition-failed',
      `the workspace ${workspace} is in use by process ${holder.pid}; stop that agent or give this one another workspace`,
    );
  }
  // Moved away first: if another process has replaced the stale lock meanwhile, its lock is put back.
  const aside = `${lock}.${randomBytes(6).toString('hex')}`;
  await rename(lock, aside).catch(() => undefined);
  const moved = await readFile(aside, 'utf8').catch(() => undefined);
  if (moved === undefined) return;
  if (moved !== text) await link(aside, lock).catch(() => undefined);
  await unlink(aside);
}

function parseHolder(text: string): z.infer<typeof holderSchema> | undefined {
  try {
    return holderSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
