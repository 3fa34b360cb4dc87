import { setTimeout as delay } from 'node:timers/promises';
import { ClaraError } from '../../base/errors';
import { link, unlink } from '../../base/files';
import { hasSystemCode, unlessCode } from '../../base/system-codes';
import { isDead, readOwnerCard } from './store-owner';

/**
 * A lock among processes that survives the death of its holder.
 *
 * The lock is held by whoever made the file: link(2) lets one succeed. It links to the holder's card, and is removed by
 * nobody else while the holder lives. What a dead holder left is removed by one process at a time: by the holder of a second
 * lock, whose name is made of the first lock and the dead holder's id. Cards never come back, so whoever holds that second
 * lock and still finds the dead card in the first one may remove it, and nobody else may; a late-comer that slept
 * meanwhile finds another card and lets it be. Should that process die too, its lock is broken by the same rule.
 */

const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 25;

export interface FileLock {
  release(): Promise<void>;
}

/** Takes the lock if nobody alive has it. @returns undefined when somebody has */
export async function tryLock(file: string, card: string): Promise<FileLock | undefined> {
  for (;;) {
    try {
      await link(card, file);
      return { release: async () => void (await unlessCode(unlink(file), 'ENOENT')) };
    } catch (error) {
      if (!hasSystemCode(error, 'EEXIST')) throw error;
    }
    const holder = await readOwnerCard(file);
    if (holder === undefined) continue;
    if (!(await isDead(holder, file))) return undefined;
    await breakLock(file, card, idOf(holder));
  }
}

/** @throws ClaraError `unavailable` when somebody alive keeps the lock for longer than `patienceMs` */
export async function lockFile(file: string, card: string, patienceMs: number): Promise<FileLock> {
  const giveUpAt = performance.now() + patienceMs;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    const lock = await tryLock(file, card);
    if (lock) return lock;
    if (performance.now() > giveUpAt) {
      const holder = await readOwnerCard(file);
      const who = typeof holder === 'object' ? `process ${holder.pid}` : 'another process';
      throw new ClaraError(
        'unavailable',
        `${who} has held ${file} for more than ${patienceMs} ms; end it or try again`,
      );
    }
    await delay(pause * (0.5 + Math.random()));
  }
}

async function breakLock(file: string, card: string, deadId: string): Promise<void> {
  const right = await lockFile(`${file}.${deadId}`, card, 5000);
  try {
    const holder = await readOwnerCard(file);
    if (holder !== undefined && idOf(holder) === deadId) await unlessCode(unlink(file), 'ENOENT');
  } finally {
    await right.release();
  }
}

const idOf = (holder: { readonly id: string } | 'unreadable'): string => (holder === 'unreadable' ? holder : holder.id);
