import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { lstat, readdir, readFile } from '../../base/files';
import { hasSystemCode } from '../../base/system-codes';

/** A folder with more entries than this is over any quota: walking it would cost more than the trainer. */
export const MAX_ENTRIES = 200_000;

/**
 * Bytes on disk under a folder (allocated blocks, so that holes do not count), without following links.
 *
 * @param uncounted names directly in the folder that are left out
 * @returns Infinity when there are too many files to count
 */
export async function folderBytes(folder: string, uncounted: readonly string[] = []): Promise<number> {
  let total = 0;
  let entries = 0;
  const waiting = [folder];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const names = await unlessGone(readdir(next), []);
    entries += names.length;
    if (entries > MAX_ENTRIES) return Number.POSITIVE_INFINITY;
    for (const name of names) {
      if (next === folder && uncounted.includes(name)) continue;
      const entry = path.join(next, name);
      const stat = await unlessGone(lstat(entry), undefined);
      if (stat === undefined) continue;
      total += stat.blocks * 512;
      if (stat.isDirectory()) waiting.push(entry);
    }
  }
  return total;
}

/**
 * Largest resident memory so far of a process and its children that live now, in bytes: the sum of their VmHWM (proc(5)).
 * 0 where the operating system does not tell.
 */
export async function peakRssOfTree(pid: number): Promise<number> {
  const status = await unlessGone(readFile(`/proc/${pid}/status`, 'latin1'), '');
  const own = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  let total = own;
  for (const thread of await unlessGone(readdir(`/proc/${pid}/task`), [])) {
    const children = await unlessGone(readFile(`/proc/${pid}/task/${thread}/children`, 'latin1'), '');
    for (const child of children.split(' ').filter(Boolean)) total += await peakRssOfTree(Number(child));
  }
  return total;
}

/** Files and processes come and go while they are counted. */
async function unlessGone<Value>(wanted: Promise<Value>, otherwise: Value): Promise<Value> {
  try {
    return await wanted;
  } catch (thrown) {
    const gone = hasSystemCode(thrown, 'ENOENT', 'ESRCH', 'ENOTDIR', 'EACCES');
    if (gone) return otherwise;
    throw ClaraError.from(thrown);
  }
}
