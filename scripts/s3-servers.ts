import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

/**
 * `npm run s3-servers`: installs the S3 servers that the tests of the store start, each into a folder of its own version, so
 * that nothing is installed twice. Without one its tests are skipped, with the reason printed; with CI=true that is a failure.
 */

interface S3ServerInstall {
  readonly name: string;
  readonly program: string;
  /** What this machine must have. */
  readonly needs: string;
  readonly isInstalled: () => boolean;
  readonly install: () => void;
}

const CACHE = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'clara-federation');

const VERSITYGW = path.join(CACHE, 'versitygw-1.8.0');
const MINISTACK = path.join(CACHE, 'ministack-1.5.33');
const COMPLETE = path.join(MINISTACK, '.complete');

export const S3_SERVERS = {
  versitygw: {
    name: 'versitygw 1.8.0',
    program: path.join(VERSITYGW, 'versitygw'),
    needs: 'Go 1.24 or newer',
    isInstalled: () => existsSync(path.join(VERSITYGW, 'versitygw')),
    install: () => {
      const fresh = `${VERSITYGW}.${process.pid}`;
      try {
        run('go', ['install', '-trimpath', '-ldflags=-s -w', 'github.com/versity/versitygw/cmd/versitygw@v1.8.0'], {
          GOBIN: fresh,
          CGO_ENABLED: '0',
        });
        renameSync(fresh, VERSITYGW);
      } finally {
        rmSync(fresh, { recursive: true, force: true });
      }
    },
  },
  ministack: {
    name: 'MiniStack 1.5.33',
    program: path.join(MINISTACK, 'bin', 'ministack'),
    needs: 'Python 3.10 or newer with venv',
    isInstalled: () => existsSync(COMPLETE),
    install: () => {
      // A virtual environment cannot be moved, so a mark tells a whole one.
      rmSync(MINISTACK, { recursive: true, force: true });
      run('python3', ['-m', 'venv', MINISTACK]);
      const requirements = path.join(__dirname, 'ministack-requirements.txt');
      run(path.join(MINISTACK, 'bin', 'pip'), [
        'install',
        '--quiet',
        '--disable-pip-version-check',
        '-r',
        requirements,
      ]);
      writeFileSync(COMPLETE, '');
    },
  },
} as const satisfies Record<string, S3ServerInstall>;

export type S3ServerName = keyof typeof S3_SERVERS;

function run(command: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}): void {
  const { status, error } = spawnSync(command, args, {
    cwd: CACHE,
    stdio: ['ignore', process.stderr, 'inherit'],
    env: { ...process.env, ...environment },
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ended with ${status}`);
}

function main(): void {
  mkdirSync(CACHE, { recursive: true });
  for (const { name, needs, isInstalled, install } of Object.values(S3_SERVERS)) {
    try {
      if (!isInstalled()) install();
      process.stdout.write(`${name} is in ${CACHE}\n`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      process.stdout.write(`${name} could not be installed (${reason}); it needs ${needs}. Its tests are skipped.\n`);
      if (process.env.CI === 'true') process.exitCode = 1;
    }
  }
}

if (require.main === module) main();
