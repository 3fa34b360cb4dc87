import { open, rm, statfs } from 'node:fs/promises';
import path from 'node:path';
import { cpuSecondsSince } from './process-usage';

const MIB = 2 ** 20;
/** As much as a round of eight sites with 256 MiB each writes anew at one end. */
const MOST_MIB = 2048;
/** Blocks that the writing may take of what the file system has left. */
const SHARE = 0.25;

/**
 * Processor seconds that a GiB costs for being written to a new file instead of over an old one: what memory costs that the
 * kernel hands out. A tenth on a machine of its own. The host of a virtual machine may take freed memory back and hand it out
 * again on the first touch, for 2 s a GiB and more; rounds then cost that too, whoever runs them (see hold-memory.py).
 */
export async function newMemoryCpuSecondsPerGiB(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  const mib = Math.max(1, Math.min(MOST_MIB, Math.floor((SHARE * bavail * bsize) / MIB)));
  const name = path.join(folder, 'new-memory');
  const file = await open(name, 'w');
  const piece = Buffer.alloc(MIB, 7);
  const write = async (): Promise<number> => {
    const before = process.cpuUsage();
    for (let i = 0; i < mib; i++) await file.write(piece, 0, MIB, i * MIB);
    return cpuSecondsSince(before);
  };
  try {
    const anew = await write();
    const again = await write();
    return ((anew - again) * 1024) / mib;
  } finally {
    await file.close();
    await rm(name, { force: true });
  }
}
