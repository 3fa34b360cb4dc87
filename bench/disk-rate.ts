import { open, rm } from 'node:fs/promises';
import path from 'node:path';

const MIB = 2 ** 20;
const TOTAL_MIB = 256;

/** MiB a second of writing one file and syncing it once: what the disk of a folder gives at best. */
export async function diskFsyncRate(folder: string): Promise<number> {
  const name = path.join(folder, 'fsync-rate');
  const file = await open(name, 'w');
  try {
    const piece = Buffer.alloc(MIB, 7);
    const started = performance.now();
    for (let i = 0; i < TOTAL_MIB; i++) await file.write(piece);
    await file.sync();
    return TOTAL_MIB / ((performance.now() - started) / 1000);
  } finally {
    await file.close();
    await rm(name, { force: true });
  }
}
