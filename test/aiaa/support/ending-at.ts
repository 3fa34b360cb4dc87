import fs from 'node:fs/promises';

/** What changes a disk, but for writing into a file that is open. */
const CHANGES = ['mkdir', 'open', 'rename', 'rm'] as const;

type Change = (...args: readonly unknown[]) => Promise<unknown>;

/**
 * Does work that ends before its n-th change of the disk: `killed`, nothing of it happens from there on, as of a process that is gone;
 * `failed`, that change is refused and the work may tidy up.
 *
 * @returns whether it came to its end
 */
export async function endingAt(n: number, how: 'killed' | 'failed', work: () => Promise<unknown>): Promise<boolean> {
  const target = fs as unknown as Record<(typeof CHANGES)[number], Change>;
  const real = { ...target };
  let left = n;
  let isOver = false;
  const ended = new Promise<boolean>((resolve) => {
    for (const name of CHANGES) {
      target[name] = async (...args) => {
        left -= 1;
        if (left >= 0 || (how === 'failed' && left < -1)) return real[name](...args);
        isOver = true;
        if (how === 'failed') throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
        resolve(false);
        return new Promise(() => {});
      };
    }
  });
  try {
    const done = work().then(
      () => !isOver,
      (error: unknown) => {
        if (!isOver) throw error;
        return false;
      },
    );
    return await Promise.race([done, ended]);
  } finally {
    for (const name of CHANGES) target[name] = real[name];
  }
}
