import { setTimeout as delay } from 'node:timers/promises';

const LIMIT_MILLIS = 40_000;

/** Resolves when the condition holds, rejects when it never does. For what only other processes know. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + LIMIT_MILLIS;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited in vain until ${what}`);
    await delay(20);
  }
}

/** Settles when a counter that has begun to move has stood still for ten looks in a row. */
export async function standstill(counter: () => number): Promise<void> {
  let last = 0;
  let same = 0;
  while (same < 10) {
    await delay(20);
    same = counter() === last && last > 0 ? same + 1 : 0;
    last = counter();
  }
}
