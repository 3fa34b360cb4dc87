import assert from 'node:assert/strict';
import path from 'node:path';
import { stackConfiguration, stackNames } from '../../fleet/project-files';
import { stackRole } from '../../stacks/role';
import { planStack } from '../engine/plan';
import type { ProgramRun } from '../engine/run-program';

/** The plans of the stacks as their files say, each made once in a test run, for all specs that only look at them. */

const ROOT = path.resolve(__dirname, '../..');
const plans = new Map<string, Promise<ProgramRun>>();

/** Stacks with a file whose role this version deploys. */
export function deployableStacks(): string[] {
  return stackNames(ROOT)
    .filter((stack) => {
      try {
        return Boolean(stackRole(stackConfiguration(ROOT, stack), stack));
      } catch {
        return false;
      }
    })
    .sort();
}

/** @throws AssertionError with what the program printed when it failed */
export async function planOf(stack: string): Promise<ProgramRun> {
  const started = plans.get(stack) ?? planStack({ root: ROOT, stack });
  plans.set(stack, started);
  const run = await started;
  assert.equal(run.exitCode, 0, `${stack}: ${run.logs.map(({ message }) => message).join('\n')}\n${run.printed}`);
  return run;
}
