import { spawnSync } from 'node:child_process';
import { homedir } from 'node:os';
import path from 'node:path';

/** Where programs that tests need are kept, outside the checkout, each in a folder of its own version. */
export const TOOL_CACHE = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'clara-federation');

/** Runs one step of an installation; what it prints goes to standard error. @throws Error when it fails */
export function installationStep(
  command: string,
  args: readonly string[],
  { cwd = TOOL_CACHE, environment = {} }: { cwd?: string; environment?: Readonly<Record<string, string>> } = {},
): void {
  const { status, error } = spawnSync(command, args, {
    cwd,
    stdio: ['ignore', process.stderr, 'inherit'],
    env: { ...process.env, ...environment },
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ended with ${status}`);
}

/** What becomes of an installation: a line, and with CI=true the exit code as well. */
export function reportInstallation(name: string, needs: string, install: () => void): void {
  try {
    install();
    process.stdout.write(`${name} is in ${TOOL_CACHE}\n`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    process.stdout.write(`${name} could not be installed (${reason}); it needs ${needs}. Its tests are skipped.\n`);
    if (process.env.CI === 'true') process.exitCode = 1;
  }
}
