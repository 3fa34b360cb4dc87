import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { installationStep, reportInstallation, TOOL_CACHE } from './tool-cache';

/**
 * Servers that tests start, each installed into a folder of its own version in the cache, so that nothing is installed twice.
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

/** A program of a Python package, in a virtual environment. @param requirements file beside this one, every version pinned */
export function pythonServer(name: string, folder: string, program: string, requirements: string): ServerInstall {
  const home = path.join(TOOL_CACHE, folder);
  const complete = path.join(home, '.complete');
  return {
    name,
    program: path.join(home, 'bin', program),
    needs: 'Python 3.10 or newer with venv',
    isInstalled: () => existsSync(complete),
    install: () => {
      // A virtual environment cannot be moved, so a mark tells a whole one.
      rmSync(home, { recursive: true, force: true });
      installationStep('python3', ['-m', 'venv', home]);
      const pip = path.join(home, 'bin', 'pip');
      const packages = path.join(__dirname, requirements);
      installationStep(pip, ['install', '--quiet', '--disable-pip-version-check', '-r', packages]);
      writeFileSync(complete, '');
    },
  };
}

export function installServers(servers: readonly ServerInstall[]): void {
  mkdirSync(TOOL_CACHE, { recursive: true });
  for (const { name, needs, isInstalled, install } of servers) {
    reportInstallation(name, needs, () => {
      if (!isInstalled()) install();
    });
  }
}
