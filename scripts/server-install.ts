import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

/**
 * Servers that tests start, each installed into a folder of its own version in a cache, so that nothing is installed twice.
 * Without one its tests are skipped, with the reason printed; with CI=true that is a failure.
 */
export interface ServerInstall {
  readonly name: string;
  readonly program: string;
  /** What this machine must have. */
  readonly needs: string;
  readonly isInstalled: () => boolean;
  readonly install: () => void;
}

export const SERVER_CACHE = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'clara-federation');

/** A program of a Python package, in a virtual environment. @param requirements file beside this one, every version pinned */
export function pythonServer(name: string, folder: string, program: string, requirements: string): ServerInstall {
  const home = path.join(SERVER_CACHE, folder);
  const complete = path.join(home, '.complete');
  return {
    name,
    program: path.join(home, 'bin', program),
    needs: 'Python 3.10 or newer with venv',
    isInstalled: () => existsSync(complete),
    install: () => {
      // A virtual environment cannot be moved, so a mark tells a whole one.
      rmSync(home, { recursive: true, force: true });
      runInstaller('python3', ['-m', 'venv', home]);
      const pip = path.join(home, 'bin', 'pip');
      const packages = path.join(__dirname, requirements);
      runInstaller(pip, ['install', '--quiet', '--disable-pip-version-check', '-r', packages]);
      writeFileSync(complete, '');
    },
  };
}

export function runInstaller(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): void {
  const { status, error } = spawnSync(command, args, {
    cwd: SERVER_CACHE,
    stdio: ['ignore', process.stderr, 'inherit'],
    env: { ...process.env, ...environment },
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ended with ${status}`);
}

export function installServers(servers: readonly ServerInstall[]): void {
  mkdirSync(SERVER_CACHE, { recursive: true });
  for (const { name, needs, isInstalled, install } of servers) {
    try {
      if (!isInstalled()) install();
      process.stdout.write(`${name} is in ${SERVER_CACHE}\n`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      process.stdout.write(`${name} could not be installed (${reason}); it needs ${needs}. Its tests are skipped.\n`);
      if (process.env.CI === 'true') process.exitCode = 1;
    }
  }
}
