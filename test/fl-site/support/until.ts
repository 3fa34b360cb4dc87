import { setTimeout as delay } from 'node:timers/promises';

const LIMIT_MILLIS = 40_000;

/** Resolves when the condition holds, rejects when it never does. */
export async function until(condition: () => boolean | Promise<boolean>, what = condition.toString()): Promise<void> {
  const end = performance.now() + LIMIT_MILLIS;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited in vain until ${what}`);
    await delay(5);
  }
}
